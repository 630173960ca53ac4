"""Every set of values under `ci/`, rendered for every Kubernetes, is good by everybody's schema."""

import functools
import json
import os
import shutil
import subprocess

import kubernetes_validate
import pytest
from kubernetes_validate import utils

import chart
from chart import CASES, EXAMPLES, GOLDEN, HELM, HELM3, OTHERS, TOOLS, VERSIONS, Refused

# It reads its schemas anew for every object.
utils.schema_contents = functools.cache(utils.schema_contents)
ALL = CASES | EXAMPLES


@pytest.mark.parametrize("case", ALL)
def test_helm_lints_it_strictly(case):
    done = subprocess.run(
        [HELM, "lint", "--strict", "--quiet", chart.CHART, "--values", ALL[case], "--set", "checkApiVersions=false"],
        capture_output=True, text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def kubernetes_faults(document, kube):
    """What Kubernetes' own schema says against it; None when it has no such kind."""
    try:
        kubernetes_validate.validate(document, kube, strict=True)
    except kubernetes_validate.SchemaNotFoundError:
        return None
    except kubernetes_validate.ValidationError as fault:
        return [f"{chart.label(document)}: {'.'.join(map(str, fault.path))}: {fault.message}"]
    return []


def foreign_faults(documents):
    """What the makers of other kinds say against them."""
    done = subprocess.run(
        ["node", chart.Path(__file__).parent / "validate.mjs"],
        input=json.dumps(documents), capture_output=True, text=True, timeout=60,
        env=os.environ | {"LEVEE_CHART_NODE": str(TOOLS / "node")},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("kube", VERSIONS)
@pytest.mark.parametrize("case", ALL)
def test_every_object_is_good_by_its_schema(case, kube):
    faults, foreign = [], []
    for document in chart.objects(ALL[case], kube=kube):
        found = kubernetes_faults(document, kube)
        foreign += [document] if found is None else []
        faults += found or []
    assert faults + (foreign_faults(foreign) if foreign else []) == []


def test_the_schemas_do_find_faults():
    rendered = chart.objects(CASES["everything"])
    deployment = chart.the(rendered, "Deployment")
    deployment["spec"]["template"]["spec"]["containers"][0]["imagePullPolcy"] = "Always"
    assert "imagePullPolcy" in kubernetes_faults(deployment, "1.37")[0]
    monitor, route = chart.the(rendered, "ServiceMonitor"), chart.the(rendered, "HTTPRoute", "-calls")
    monitor["spec"]["endpoints"][0]["interval"] = "soon"
    route["spec"]["rules"][0]["backendRefs"][0]["port"] = "http"
    found = foreign_faults([monitor, route, {"kind": "Odd", "apiVersion": "example.com/v1", "metadata": {"name": "x"}}])
    assert len(found) == 3 and "interval" in found[0] and "port" in found[1] and "no schema" in found[2], found


@pytest.mark.parametrize("kube", VERSIONS)
@pytest.mark.parametrize("case", ALL)
def test_a_cluster_without_the_kinds_of_others_gets_the_same_or_is_told(case, kube):
    whole = chart.render(ALL[case], kube=kube)
    asked = {document["apiVersion"] for document in chart.documents(whole)} & set(OTHERS)
    if not asked or "checkApiVersions: false" in ALL[case].read_text():
        assert chart.render(ALL[case], kube=kube, apis=()) == whole
    else:
        with pytest.raises(Refused, match="the cluster does not know " + " and ".join(asked)):
            chart.render(ALL[case], kube=kube, apis=())


@pytest.mark.parametrize("case", CASES)
def test_helm_3_renders_what_helm_4_does(case):
    by_name = functools.partial(sorted, key=chart.label)
    assert by_name(chart.objects(CASES[case], helm=HELM3)) == by_name(chart.objects(CASES[case]))


def test_an_older_kubernetes_is_refused():
    with pytest.raises(Refused, match="chart requires kubeVersion"):
        chart.render(CASES["postgres"], kube="1.32")


def without_copies(text):
    """The rendering without what is a copy of another file of the repository: the long `spec` or `data` of some objects."""
    parts = text.split("\n---\n")
    copies = {"kind: CustomResourceDefinition": "spec:\n", "-dashboard-": "data:\n"}
    for index, part in enumerate(parts):
        for sign, field in copies.items():
            if sign in part.split("\n" + field)[0]:
                parts[index] = part.split("\n" + field)[0] + f"\n{field.strip()} {{}} # a copy"
    return "\n---\n".join(parts)


@pytest.mark.parametrize("case", CASES)
def test_the_rendering_is_the_golden_one(case):
    rendered, golden = without_copies(chart.render(CASES[case])), GOLDEN / f"{case}.yaml"
    if os.environ.get("UPDATE"):
        GOLDEN.mkdir(exist_ok=True)
        golden.write_text(rendered)
    assert golden.exists() and golden.read_text() == rendered, f"{golden} is out of date: run make update"


def test_there_is_no_golden_rendering_of_nothing():
    assert {file.stem for file in GOLDEN.glob("*.yaml")} == set(CASES)


def test_a_packaged_chart_renders_the_same(tmp_path):
    done = subprocess.run([HELM, "package", chart.CHART, "-d", tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    package = next(tmp_path.glob("levee-*.tgz"))
    assert chart.render(CASES["everything"], chart=package) == chart.render(CASES["everything"])
    shutil.unpack_archive(package, tmp_path)
    assert not (tmp_path / "levee" / "ci").exists() and (tmp_path / "levee" / "README.md").exists()
