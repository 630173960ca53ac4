"""What is shipped for those who operate Levee, read from the repository: dashboards, rules, runbooks, pages."""

import json
import pathlib
import re

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
DASHBOARDS = ROOT / "dashboards"
RULES = sorted((DASHBOARDS / "rules").glob("*.yaml"))
RUNBOOKS = ROOT / "docs" / "runbooks"
RUNBOOK_URL = "https://levee.dev/runbooks/"
# A metric's name where it stands in PromQL or in a page; recorded series have colons.
METRIC = re.compile(r"(?<![\w:])((?:levee|process)_[a-z0-9_]+)(?![\w:])")
RECORDED = re.compile(r"\blevee:[a-z0-9_:]+")


def dashboards():
    """Every dashboard by its file's name."""
    return {file.stem: json.loads(file.read_text()) for file in sorted(DASHBOARDS.glob("*.json"))}


def panels(dashboard):
    """Its panels but for the headings of rows."""
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def rules():
    """Every rule of every file."""
    return [rule for file in RULES for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts():
    """Every alerting rule."""
    return [rule for rule in rules() if "alert" in rule]


def expressions():
    """Every PromQL expression that is shipped, with where it stands."""
    for name, dashboard in dashboards().items():
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]
        for annotation in dashboard["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", annotation["expr"]
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: ${variable['name']}", variable["query"]["query"]
    for rule in rules():
        yield rule.get("alert") or rule["record"], rule["expr"]


def metrics_named(text):
    """Metrics that a text names; the parts of a histogram count as the whole."""
    return {re.sub(r"_(bucket|count|sum)$", "", name) for name in METRIC.findall(text)}


def declared():
    """Metrics that the program knows, whether or not they show in a process at hand."""
    source = (ROOT / "src" / "telemetry" / "metrics" / "families.rs").read_text()
    return set(re.findall(r'"(levee_\w+)" (?:COUNTER|GAUGE|HISTOGRAM)', source))


def pages():
    """The pages in which metrics are spoken of."""
    return [*sorted((ROOT / "docs").rglob("*.md")), ROOT / "README.md"]


def reference():
    """Metrics that the table of docs/operations.md describes."""
    lines = (ROOT / "docs" / "operations.md").read_text().splitlines()
    return {name for line in lines if line.startswith("| `") for name in metrics_named(line.split(" | ")[0])}
