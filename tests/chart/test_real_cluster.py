"""Helm and kubectl with the chart against a real API server, where LEVEE_TEST_KUBECONFIG names a kubeconfig for one that may be changed.

Nothing has to run there: an install makes the objects, and no pod is waited for. What a test makes it takes away.
"""

import os
import subprocess
import uuid

import pytest

import chart
from chart import CASES, EXAMPLES, HELM, HELM3, KUBECTL

KUBECONFIG = os.environ.get("LEVEE_TEST_KUBECONFIG")
pytestmark = pytest.mark.skipif(not KUBECONFIG, reason="LEVEE_TEST_KUBECONFIG names no cluster")
# What else the chart's kinds lie in, where a namespace's end does not take them.
MADE = "deployments,jobs,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,persistentvolumeclaims"
UPSTREAM = """
apiVersion: levee.dev/v1alpha1
kind: Upstream
metadata: {{ name: rates }}
spec:
  url: http://rates.example
  cache: {{ mode: {mode} }}
  retry: {{ 'on': [timeout] }}
"""


def run(program, *words, good=True, sent=None):
    """What a command prints; it must end well, or must not."""
    variables = {**os.environ, "KUBECONFIG": KUBECONFIG}
    done = subprocess.run([str(word) for word in (program, *words)], env=variables, input=sent, capture_output=True, text=True, timeout=120)
    assert (done.returncode == 0) == good, done.stdout + done.stderr
    return done.stdout + done.stderr


def minimal(version, kind):
    """A definition of somebody else's kind that takes anything."""
    group, version = version.split("/")
    names = {"kind": kind, "plural": kind.lower() + "s", "singular": kind.lower()}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{names['plural']}.{group}", "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"}},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [{"name": version, "served": True, "storage": True, "schema": schema}]},
    }


@pytest.fixture
def namespace():
    """One of the test's own."""
    name = f"levee-test-{uuid.uuid4().hex[:8]}"
    run(KUBECTL, "create", "namespace", name)
    yield name
    run(KUBECTL, "delete", MADE, "--all", "-n", name, "--ignore-not-found", "--wait=false")
    run(KUBECTL, "delete", "namespace", name, "--wait=false")


@pytest.fixture
def undefined():
    """No definition of Upstreams, before and after; one that is somebody's stays, and the test does not run."""
    if "upstreams.levee.dev" in run(KUBECTL, "get", "crd", "-o", "name"):
        pytest.skip("the definition of Upstreams is there already")
    yield
    run(KUBECTL, "delete", "crd", "upstreams.levee.dev", "--ignore-not-found")


@pytest.fixture
def others():
    """Definitions of the other kinds that the chart can make, where they are missing."""
    kinds = {(document["apiVersion"], document["kind"]) for case in CASES.values() for document in chart.objects(case)}
    wanted = [minimal(*kind) for kind in sorted(kinds) if kind[0].startswith(("monitoring.coreos.com/", "gateway.networking.k8s.io/"))]
    there = run(KUBECTL, "get", "crd", "-o", "name")
    missing = [definition for definition in wanted if definition["metadata"]["name"] not in there]
    text = chart.yaml.safe_dump_all(missing)
    if missing:
        run(KUBECTL, "apply", "-f", "-", sent=text)
        run(KUBECTL, "wait", "--for=condition=Established", "--timeout=30s", *(f"crd/{definition['metadata']['name']}" for definition in missing))
    yield
    if missing:
        run(KUBECTL, "delete", "-f", "-", sent=text)


@pytest.mark.parametrize("helm", [HELM, HELM3], ids=["helm 4", "helm 3"])
@pytest.mark.parametrize("case", CASES)
def test_a_real_api_server_takes_every_case(case, helm, namespace, undefined, others):
    words = ("levee", chart.CHART, "-n", namespace, "-f", CASES[case], "--dry-run=server")
    more = ("--set-json", f'kubernetes={{"namespaces":["{namespace}"],"secretNamespaces":[]}}') if case == "namespaced" else ()
    run(helm, "install", *words, *more)


@pytest.mark.parametrize("helm", [HELM, HELM3], ids=["helm 4", "helm 3"])
def test_a_release_is_installed_upgraded_rolled_back_and_uninstalled(helm, namespace, undefined):
    values = ("-n", namespace, "-f", EXAMPLES["trial"])
    run(helm, "install", "levee", chart.CHART, *values)
    run(helm, "upgrade", "levee", chart.CHART, *values, "--set", "config.log=debug", "--dry-run=server")
    run(helm, "upgrade", "levee", chart.CHART, *values, "--set", "config.log=debug")
    run(helm, "rollback", "levee", "1", "-n", namespace, "--dry-run=server" if helm == HELM else "--dry-run")
    run(helm, "rollback", "levee", "1", "-n", namespace)
    assert "deployment.apps/levee" in run(KUBECTL, "get", "all", "-n", namespace, "-o", "name")
    assert run(KUBECTL, "create", "token", "levee", "-n", namespace, "--audience", "levee").count(".") == 2
    run(helm, "uninstall", "levee", "-n", namespace)
    assert "upstreams.levee.dev" in run(KUBECTL, "get", "crd", "-o", "name"), "everybody's documents stay"


def test_the_definition_that_is_printed_is_applied_and_means_what_it_says(namespace, undefined):
    printed = subprocess.run([str(chart.LEVEE), "crds"], capture_output=True, text=True, check=True).stdout
    run(KUBECTL, "apply", "-f", "-", sent=printed)
    run(KUBECTL, "wait", "--for=condition=Established", "crd/upstreams.levee.dev", "--timeout=30s")
    assert "created" in run(KUBECTL, "apply", "-n", namespace, "-f", "-", sent=UPSTREAM.format(mode="'off'"))
    assert "unchanged" in run(KUBECTL, "apply", "-n", namespace, "-f", "-", sent=UPSTREAM.format(mode="'off'"))
    table = run(KUBECTL, "get", "upstreams", "-n", namespace, "-o", "wide").split("\n")
    assert table[0].split() == ["NAME", "URL", "BREAKER", "ACCEPTED", "READY", "NAME", "AGE"] and "http://rates.example" in table[1]
    refused = run(KUBECTL, "apply", "-n", namespace, "-f", "-", sent=UPSTREAM.format(mode="sometimes"), good=False)
    assert '"respect", "off", "override"' in refused, refused
    run(KUBECTL, "delete", "upstream", "rates", "-n", namespace)
