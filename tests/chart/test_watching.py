"""The rules and dashboards of the repository reach the cluster as they are, but for the alerts that are switched off."""

import json
import subprocess

import chart
from chart import CASES, EXAMPLES


def rules(groups):
    """Every rule by its group; two alerts may have one name."""
    return sorted(json.dumps([group["name"], rule], sort_keys=True) for group in groups for rule in group["rules"])


def rendered_groups(rendered):
    """Those of every PrometheusRule."""
    return [group for document in chart.of_kind(rendered, "PrometheusRule") for group in document["spec"]["groups"]]


def written():
    """The groups under dashboards/rules/."""
    return [group for file in chart.ROOT.glob("dashboards/rules/*.yaml") for group in chart.yaml.safe_load(file.read_text())["groups"]]


def test_all_rules_are_there():
    rendered = chart.objects(EXAMPLES["production"])
    assert rules(rendered_groups(rendered)) == rules(written())
    assert len(rules(written())) > 20


def test_an_alert_can_be_switched_off_alone():
    rendered = chart.objects(CASES["postgres"])
    left = [rule for rule in rules(written()) if '"LeveeBreakerForced"' not in rule]
    assert len(left) < len(rules(written()))
    assert rules(rendered_groups(rendered)) == left


def test_prometheus_accepts_each_object(tmp_path):
    for document in chart.of_kind(chart.objects(CASES["postgres"]), "PrometheusRule"):
        file = tmp_path / f"{document['metadata']['name']}.yaml"
        file.write_text(chart.yaml.safe_dump(document["spec"]))
        done = subprocess.run(["promtool", "check", "rules", file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_every_dashboard_is_a_config_map_of_its_own():
    rendered = chart.objects(EXAMPLES["production"])
    shipped = {file.name: json.loads(file.read_text()) for file in chart.ROOT.glob("dashboards/*.json")}
    found = {}
    for document in chart.of_kind(rendered, "ConfigMap"):
        if document["metadata"]["labels"].get("grafana_dashboard") == "1":
            assert len(json.dumps(document)) < 1_000_000, "a ConfigMap holds a mebibyte"
            found |= {name.removeprefix("levee-"): json.loads(text) for name, text in document["data"].items()}
    assert found == shipped and len(shipped) >= 3
