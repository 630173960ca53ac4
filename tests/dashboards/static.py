"""Checks that need nothing but the repository and promtool."""

import re
import subprocess
import sys

import shipped
import yaml


def the_dashboards_are_what_their_source_says():
    """A golden: `make update` rewrites it."""
    subprocess.run([sys.executable, shipped.DASHBOARDS / "build.py", "--check"], check=True)


def a_dashboard_has_a_stable_uid_a_description_and_a_templated_source():
    """So that links and provisioning hold in every installation."""
    uids = [dashboard["uid"] for dashboard in shipped.dashboards().values()]
    assert sorted(uids) == ["levee-fleet", "levee-overview", "levee-runtime", "levee-upstream"], uids
    for name, dashboard in shipped.dashboards().items():
        assert dashboard["title"] and dashboard["description"], name
        variables = dashboard["templating"]["list"]
        assert variables[0]["type"] == "datasource", name
        asked = [*variables[1:], *dashboard["annotations"]["list"], *shipped.panels(dashboard)]
        sources = [one["datasource"] for one in asked]
        sources += [target["datasource"] for panel in shipped.panels(dashboard) for target in panel["targets"]]
        assert all(source["uid"] == "${datasource}" for source in sources), name


def every_panel_says_what_it_shows():
    """Title, description, unit, and a window that follows the scrape interval."""
    for name, dashboard in shipped.dashboards().items():
        titles = [panel["title"] for panel in shipped.panels(dashboard)]
        assert len(titles) == len(set(titles)), f"{name}: two panels of one title"
        for panel in shipped.panels(dashboard):
            where = f"{name}: {panel['title']}"
            assert panel["title"] and panel["description"].endswith("."), where
            assert panel["fieldConfig"]["defaults"]["unit"], where
            assert panel["targets"], where
            for target in panel["targets"]:
                windows = set(re.findall(r"\[([^]:]+)\]", target["expr"]))
                fixed = windows - {"$__rate_interval", "$__range", "30d"}
                assert not fixed, f"{where}: a fixed window {fixed}"


def panels_do_not_overlap():
    """Nor reach over the edge of Grafana's 24 columns."""
    for name, dashboard in shipped.dashboards().items():
        taken = {}
        for panel in dashboard["panels"]:
            place = panel["gridPos"]
            assert place["x"] + place["w"] <= 24, f"{name}: {panel['title']}"
            for x in range(place["x"], place["x"] + place["w"]):
                for y in range(place["y"], place["y"] + place["h"]):
                    other = taken.setdefault((x, y), panel["title"])
                    assert other == panel["title"], f"{name}: {panel['title']} lies on {other}"


def links_of_panels_lead_to_runbooks_that_exist():
    """And panels' links name the runbook."""
    for name, dashboard in shipped.dashboards().items():
        for panel in shipped.panels(dashboard):
            for link in panel.get("links", []):
                runbook = link["url"].removeprefix(shipped.RUNBOOK_URL)
                assert (shipped.RUNBOOKS / f"{runbook}.md").exists(), f"{name}: {panel['title']}: {link['url']}"


def every_alert_says_how_bad_it_is_what_it_means_and_where_to_look():
    """Severity, summary, description, runbook, dashboard."""
    uids = {dashboard["uid"] for dashboard in shipped.dashboards().values()}
    for rule in shipped.alerts():
        name, says = rule["alert"], rule["annotations"]
        assert rule["labels"]["severity"] in {"page", "ticket", "warning", "info"}, name
        assert len(says["summary"]) < 120 and says["description"].strip().endswith("."), name
        assert says["runbook_url"] == shipped.RUNBOOK_URL + name, name
        assert re.match(r"/d/([\w-]+)", says["dashboard"])[1] in uids, name


def every_alert_has_a_runbook_and_every_runbook_an_alert():
    """One page each, with its four parts."""
    named = {rule["alert"] for rule in shipped.alerts()}
    written = {page.stem for page in shipped.RUNBOOKS.glob("Levee*.md")}
    assert named == written, f"without a page: {named - written}; without an alert: {written - named}"
    index = (shipped.RUNBOOKS / "README.md").read_text()
    for name in sorted(written):
        text = (shipped.RUNBOOKS / f"{name}.md").read_text()
        assert text.startswith(f"# {name}\n"), name
        parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert parts == ["Meaning", "What users notice", "Check", "Fix"], f"{name}: {parts}"
        assert f"]({name}.md)" in index, f"{name} is not in the list of runbooks"


def what_status_calls_a_problem_has_a_runbook():
    """`/status` names runbooks, too."""
    source = (shipped.ROOT / "src" / "app" / "status" / "problems.rs").read_text()
    named = set(re.findall(r'"(Levee[A-Za-z]+)"', source))
    assert len(named) > 5, named
    missing = {name for name in named if not (shipped.RUNBOOKS / f"{name}.md").exists()}
    assert not missing, missing


def what_is_recorded_is_used_and_what_is_used_is_recorded():
    """Recording rules that nobody reads cost as much as the others."""
    recorded = {rule["record"] for rule in shipped.rules() if "record" in rule}
    used = {name for _, expression in shipped.expressions() for name in shipped.RECORDED.findall(expression)}
    assert used == recorded, f"unknown: {used - recorded}; unused: {recorded - used}"


def the_rules_are_valid():
    """As Prometheus reads them."""
    subprocess.run(["promtool", "check", "rules", *shipped.RULES], check=True, stdout=subprocess.DEVNULL)


def every_rule_file_is_plain_yaml():
    """One document with groups, as the operator's PrometheusRule wants it."""
    for file in shipped.RULES:
        document = yaml.safe_load(file.read_text())
        assert list(document) == ["groups"], file.name
        names = [group["name"] for group in document["groups"]]
        assert len(names) == len(set(names)), file.name


CHECKS = [
    the_dashboards_are_what_their_source_says,
    a_dashboard_has_a_stable_uid_a_description_and_a_templated_source,
    every_panel_says_what_it_shows,
    panels_do_not_overlap,
    links_of_panels_lead_to_runbooks_that_exist,
    every_alert_says_how_bad_it_is_what_it_means_and_where_to_look,
    every_alert_has_a_runbook_and_every_runbook_an_alert,
    what_status_calls_a_problem_has_a_runbook,
    what_is_recorded_is_used_and_what_is_used_is_recorded,
    every_rule_file_is_plain_yaml,
    the_rules_are_valid,
]
