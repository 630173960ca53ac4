"""Turns alerts.yaml into promtool's tests of the rules, and runs them: each alert fires, does not, and ends."""

import pathlib
import subprocess
import tempfile

import shipped
import yaml

SCENARIOS = pathlib.Path(__file__).with_name("alerts.yaml")
# Windows that take days to fill.
LONG = {"6h", "1d", "3d"}


def scenarios():
    """All scenarios; everything is text, lest `0x60` is read as a number in hexadecimal."""
    return yaml.load(SCENARIOS.read_text(), yaml.BaseLoader)


def rule_of(scenario):
    """The rule a scenario is about: of one name there may be several, told apart by their window."""
    found = [
        rule for rule in shipped.alerts()
        if rule["alert"] == scenario["alert"] and rule["labels"].get("window") == scenario.get("window")
    ]
    assert len(found) == 1, f"{scenario['alert']}: {len(found)} rules"
    return found[0]


def every_alert_is_shown_to_fire_not_to_fire_and_to_end():
    """No rule without a scenario that has all three."""
    shown = {id(rule_of(one)) for one in scenarios() if {"quiet", "fires", "resolved"} <= set(one)}
    rules = shipped.alerts()
    whole = {(rule["alert"], rule["labels"].get("window")) for rule in rules}
    tested = {(one["alert"], one.get("window")) for one in scenarios() if {"quiet", "fires", "resolved"} <= set(one)}
    assert whole == tested and len(shown), f"without a scenario: {whole - tested}"


def the_alerts_do_what_their_scenarios_say():
    """By promtool, on the shipped rules with nothing but their summaries as annotations."""
    long = [one for one in scenarios() if one.get("window") in LONG]
    short = [one for one in scenarios() if one not in long]
    # Days are gone through in steps of five minutes, or it would take minutes.
    failed = [told for interval, some in (("1m", short), ("5m", long)) if (told := test(interval, some))]
    assert not failed, "\n".join(failed)


def test(interval, some):
    """One run of promtool: what it has to say against the rules."""
    with tempfile.TemporaryDirectory(prefix="levee-rules-") as folder:
        folder = pathlib.Path(folder)
        tests = {
            "rule_files": [summarised(file, folder) for file in shipped.RULES],
            "evaluation_interval": interval,
            "tests": [test_of(one) for one in some],
        }
        (folder / "tests.yaml").write_text(yaml.safe_dump(tests, sort_keys=False))
        command = ["promtool", "test", "rules", folder / "tests.yaml"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr)[-6000:]


def summarised(file, folder):
    """A copy of a rule file whose alerts have names of their own, and no annotation but their summary."""
    document = yaml.safe_load(file.read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["alert"] = told_apart(rule["alert"], rule["labels"].get("window"))
                rule["annotations"] = {"summary": rule["annotations"]["summary"]}
    (folder / file.name).write_text(yaml.safe_dump(document, sort_keys=False))
    return file.name


def test_of(scenario):
    """One of promtool's tests."""
    name = told_apart(scenario["alert"], scenario.get("window"))
    fires = {
        "exp_labels": {**scenario.get("labels", {}), **rule_of(scenario)["labels"]},
        "exp_annotations": {"summary": scenario.get("summary", "")},
    }
    moments = [
        {"eval_time": scenario[when], "alertname": name, "exp_alerts": [fires] if when == "fires" else []}
        for when in ("quiet", "fires", "resolved") if when in scenario
    ]
    return {
        "name": f"{name} {scenario.get('why', '')}".strip(), "interval": "1m",
        "input_series": [{"series": series, "values": str(values)} for series, values in scenario["series"].items()],
        "alert_rule_test": moments,
    }


def told_apart(name, window):
    """A name that no other rule has."""
    return f"{name} {window}" if window else name


CHECKS = [every_alert_is_shown_to_fire_not_to_fire_and_to_end, the_alerts_do_what_their_scenarios_say]
