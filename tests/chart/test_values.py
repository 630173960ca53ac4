"""Every value is documented, used, and refused when unknown or contradicted by another."""

import copy
import json
import re
import subprocess

import pytest
import yaml

import chart
import generate
from chart import CASES, HELM, Refused

VALUES = list(generate.leaves(generate.read()))
DEFAULTS = yaml.safe_load((chart.CHART / "values.yaml").read_text())


def named(value):
    return ".".join(value.path)


def at(tree, path):
    """The value at a path, or None."""
    for part in path:
        tree = tree.get(part) if isinstance(tree, dict) else None
    return tree


def has(tree, path):
    """Whether the path is written there."""
    inside = at(tree, path[:-1])
    return isinstance(inside, dict) and path[-1] in inside


@pytest.mark.parametrize("file", generate.made(), ids=lambda file: file.name)
def test_what_is_made_of_the_values_is_up_to_date(file):
    assert file.read_text() == generate.made()[file], f"{file} is out of date: run make update"


def test_the_chart_carries_nothing_else():
    carried = {file for file in chart.CHART.glob("files/**/*") if file.is_file()}
    assert carried == {file for file in generate.made() if file.is_relative_to(chart.CHART / "files")}


def test_every_value_has_a_comment_that_says_something():
    sections = [value for value in generate.read() if value.is_section()]
    assert [named(value) for value in [*VALUES, *sections] if len(value.text) < 6] == []
    assert len(VALUES) > 80


def test_the_generator_misses_no_value():
    """Whatever values.yaml holds lies in or under a documented key."""
    left = copy.deepcopy(DEFAULTS)
    for value in VALUES:
        at(left, value.path[:-1]).pop(value.path[-1])

    def rest(tree):
        return [key for key, inside in tree.items() if not isinstance(inside, dict) or rest(inside)]

    assert rest(left) == []


def open_objects(node, path=""):
    """Places of the schema where a misspelt key would pass."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from open_objects(item, f"{path}/{index}")
    elif isinstance(node, dict):
        describes_object = node.get("type") == "object" and "description" in node or "properties" in node
        if describes_object and "additionalProperties" not in node:
            yield path
        for key, item in node.items():
            yield from open_objects(item, f"{path}/{key}")


def test_the_schema_is_strict_everywhere():
    schema = json.loads((chart.CHART / "values.schema.json").read_text())
    assert list(open_objects(schema)) == ["/properties/global"]


def sections(tree, path=()):
    """Every object of the defaults that has keys of its own."""
    yield path
    for key, inside in tree.items():
        if isinstance(inside, dict) and inside and (*path, key) not in {value.path for value in VALUES}:
            yield from sections(inside, (*path, key))


@pytest.mark.parametrize("section", list(sections(DEFAULTS)), ids=lambda path: ".".join(path) or "top")
def test_an_unknown_value_is_refused(section):
    with pytest.raises(Refused, match="additional properties 'misspelt' not allowed"):
        chart.render(CASES["postgres"], "--set", ".".join([*section, "misspelt=1"]))


@pytest.mark.parametrize("value", VALUES, ids=named)
def test_every_value_is_used(value, tmp_path):
    """Some file under ci/ sets it to something else, and without that line the rendering is another, or none."""
    for file in CASES.values():
        values = yaml.safe_load(file.read_text())
        if not has(values, value.path) or at(values, value.path) == value.default:
            continue
        at(values, value.path[:-1]).pop(value.path[-1])
        without = tmp_path / "values.yaml"
        without.write_text(yaml.safe_dump(values))
        apis = () if value.path == ("checkApiVersions",) else chart.OTHERS
        try:
            if chart.render(without, apis=apis) != chart.render(file):
                return
        except Refused:
            return
    pytest.fail(f"{named(value)} changes nothing, or no file under ci/ sets it")


def test_the_templates_read_only_values_there_are():
    read = set()
    for template in chart.CHART.glob("templates/*"):
        read |= set(re.findall(r"(?:\$|\.|\$values)\.?(?:Values|(?<=values))\.([A-Za-z.]+)", template.read_text()))
    assert len(read) > 40
    assert sorted(name for name in read if at(DEFAULTS, name.rstrip(".").split(".")) is None
                  and not has(DEFAULTS, name.rstrip(".").split("."))) == []


CONTRADICTIONS = {
    "neither database": ("postgres", "database.existingSecret=", "name a Secret whose key `database-url` holds postgres://"),
    "both databases": ("postgres", "sqlite.enabled=true,replicaCount=1", "only one can hold the data"),
    "no keys": ("postgres", "secretKeys.existingSecret=", "name a Secret whose key `secret-keys`"),
    "sqlite shared": ("sqlite", "replicaCount=2", "2 pods cannot share SQLite's file"),
    "sqlite autoscaled": ("sqlite", "autoscaling.enabled=true", "SQLite has one pod"),
    "sqlite by a job": ("sqlite", "migration.mode=job", "a job cannot open SQLite's file"),
    "admin with no password": ("sqlite", "bootstrapAdmin.existingSecret=", "holds the password of bootstrapAdmin.email"),
    "password with no admin": ("sqlite", "bootstrapAdmin.email=", "bootstrapAdmin.email: give the address"),
    "two sources of upstreams": ("sqlite", "upstreams.existingConfigMap=x", "only one can be mounted"),
    "one port twice": ("postgres", "listen.api=8080", "calls, api and ops need a port each"),
    "one service port twice": ("postgres", "service.ports.api=80", "calls, api and metrics need a port each"),
    "too little grace": ("postgres", "terminationGracePeriodSeconds=64", "64 is less than 65: drain.preStopSeconds"),
    "no grace": ("postgres", "terminationGracePeriodSeconds=0", "0 is less than 65"),
    "budget of both kinds": ("postgres", "podDisruptionBudget.maxUnavailable=1", "minAvailable or maxUnavailable, not both"),
    "budget of all": ("postgres", "podDisruptionBudget.minAvailable=3", "3 of 3 pods leaves none to move"),
    "budget of all by share": ("postgres", "podDisruptionBudget.minAvailable=100%", "leaves none to move"),
    "budget of none": ("autoscaled", "podDisruptionBudget.maxUnavailable=0", "0 lets no node be drained"),
    "no way to roll": ("postgres", "updateStrategy.maxSurge=0", "cannot both be 0"),
    "least above most": ("autoscaled", "autoscaling.minReplicas=20", "minReplicas is more than maxReplicas"),
    "nothing to scale by": ("autoscaled", "autoscaling.cpuPercent=null,autoscaling.inFlight=null", "give cpuPercent or inFlight"),
    "a share of nothing": ("autoscaled", "resources.requests.cpu=null", "resources.requests.cpu, which is not given"),
    "half a policy": ("postgres", "networkPolicy.egress.enabled=true", "needs networkPolicy.enabled"),
    "two monitors": ("postgres", "metrics.podMonitor.enabled=true", "count everything twice"),
    "no such alert": ("postgres", "metrics.rules.disabledAlerts={LeveeNothing}", "there is no alert LeveeNothing"),
    "a route of no gateway": ("postgres", "httpRoute.calls.enabled=true", "httpRoute.calls.parentRefs: name the Gateway"),
    "an ingress of no host": ("postgres", "ingress.api.enabled=true", "ingress.api.hosts: name the hosts"),
    "headers to nobody": ("postgres", "tracing.existingSecret=x", "tracing.endpoint: headers"),
    "traces past the chart": ("postgres", "extraEnv[0].name=OTEL_TRACES_SAMPLER,extraEnv[0].value=always_off", "OTEL_TRACES_SAMPLER would overrule the chart; set tracing.sampler"),
    "a setting past the chart": ("postgres", "extraEnv[0].name=LEVEE_DRAIN_TIMEOUT,extraEnv[0].value=5m", "LEVEE_DRAIN_TIMEOUT would overrule the chart; set drain.timeoutSeconds"),
    "a secret past the chart": ("postgres", "extraEnv[0].name=LEVEE_SECRET_KEYS_FILE,extraEnv[0].value=x", "set secretKeys"),
}
OUT_OF_RANGE = {
    "digest": "image.digest=sha256:12",
    "mode": "migration.mode=sometimes",
    "type": "replicaCount=many",
    "port": "listen.calls=80",
    "file name": "upstreams.files.notes\\.txt=x",
    "label of the chart's": "podLabels.app\\.kubernetes\\.io/name=x",
    "percentage": "podDisruptionBudget.minAvailable=half",
    "address": "listen.address=localhost",
}


@pytest.mark.parametrize("case, settings, message", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_values_that_contradict_each_other_are_refused(case, settings, message):
    with pytest.raises(Refused) as refusal:
        chart.render(CASES[case], "--set", settings)
    assert message in str(refusal.value)


@pytest.mark.parametrize("settings", OUT_OF_RANGE.values(), ids=OUT_OF_RANGE)
def test_a_value_out_of_its_range_is_refused(settings):
    with pytest.raises(Refused, match="don't meet the specifications of the schema"):
        chart.render(CASES["postgres"], "--set", settings)


def test_every_fault_is_told_at_once():
    with pytest.raises(Refused) as refusal:
        chart.render(None, "--set", "terminationGracePeriodSeconds=1")
    assert str(refusal.value).count("\n- ") == 3


def test_the_notes_name_the_next_command(tmp_path):
    """`helm install --dry-run=client` shows them without a cluster."""
    for case, words in {"sqlite": "Sign in there as ada@example.com", "postgres": "exec -it deployment/levee -- /usr/local/bin/levee user create",
                        "existing": "There is no admin yet"}.items():
        done = subprocess.run(
            [HELM, "install", "levee", chart.CHART, "-n", "levee", "--dry-run=client", "-f", CASES[case], "--set", "checkApiVersions=false"],
            capture_output=True, text=True, env={"HOME": str(tmp_path), "KUBECONFIG": "/dev/null"},
        )
        notes = done.stdout.split("NOTES:")[-1]
        assert words in notes and "rollout status deployment/levee" in notes, done.stdout[-2000:] + done.stderr
