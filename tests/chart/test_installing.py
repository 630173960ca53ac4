"""Helm and kubectl install, test, upgrade, roll back and uninstall the chart in a stand-in for a cluster that runs its pods."""

import os
import subprocess

import pytest

import chart
from chart import CASES, EXAMPLES, HELM, HELM3, KUBECTL
from cluster import Cluster
from kubelet import until

QUICK = ("--set", "drain.delaySeconds=0,drain.timeoutSeconds=5,drain.preStopSeconds=0")
KEYS = {"secret-keys": "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
UPSTREAM = """
apiVersion: levee.dev/v1alpha1
kind: Upstream
metadata: { name: rates }
spec:
  url: http://rates.example
  access: { allow: [any_authenticated] }
"""


@pytest.fixture
def cluster(tmp_path):
    """With the Secrets that the cases name."""
    database = {"database-url": os.environ.get("LEVEE_TEST_POSTGRES", "")}
    redis = {"redis-url": os.environ.get("LEVEE_TEST_REDIS", "")}
    cluster = Cluster(tmp_path, {"levee-keys": KEYS, "levee-database": database, "levee-redis": redis})
    yield cluster
    cluster.close()


def run(cluster, program, *words, good=True, sent=None):
    """What a command prints; it must end well, or must not."""
    variables = {"HOME": str(cluster.folder), "KUBECONFIG": str(cluster.kubeconfig), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([str(word) for word in (program, *words)], env=variables, input=sent, capture_output=True, text=True, timeout=90)
    told = done.stdout + done.stderr + "".join(str(output) for output in cluster.outputs.values())
    assert (done.returncode == 0) == good, told
    return done.stdout + done.stderr


@pytest.mark.parametrize("helm", [HELM, HELM3], ids=["helm 4", "helm 3"])
def test_a_release_is_installed_tested_upgraded_rolled_back_and_uninstalled(cluster, helm):
    values = ("-n", "levee", "-f", EXAMPLES["trial"], *QUICK)
    # Helm 3 asks for more than the stand-in tells before it believes a rollout.
    wait = ("--wait", "--timeout", "20s") if helm == HELM else ("--timeout", "20s")

    def ready():
        run(cluster, KUBECTL, "rollout", "status", "deployment/levee", "--timeout=30s")

    assert "Sign in there as admin@example.com" in run(cluster, helm, "install", "levee", chart.CHART, *values, *wait)
    ready()
    assert "Phase:          Succeeded" in run(cluster, helm, "test", "levee", "-n", "levee", "--timeout", "30s")
    run(cluster, helm, "upgrade", "levee", chart.CHART, *values, "--set", "config.log=debug", *wait)
    ready()
    run(cluster, helm, "rollback", "levee", "1", "-n", "levee", *wait)
    ready()
    assert cluster.stopped["levee"] == [0, 0]
    run(cluster, helm, "uninstall", "levee", "-n", "levee")
    until(lambda: cluster.stopped["levee"] == [0, 0, 0], "the last pod is told to stop and does")
    left = {key[1] for key in cluster.objects} - {"namespaces", "secrets", "pods", "leases"}
    assert left == {"customresourcedefinitions"}, "the definition is kept, and with it everybody's Upstreams"


def test_an_upgrade_of_settings_makes_a_new_pod_and_one_of_upstreams_does_not(cluster):
    values = ("-n", "levee", "-f", EXAMPLES["trial"], *QUICK, "--wait", "--timeout", "20s")
    run(cluster, HELM, "install", "levee", chart.CHART, *values)
    pod = next(iter(cluster.running.values()))
    run(cluster, HELM, "upgrade", "levee", chart.CHART, *values, "--set-string", "upstreams.files.none\\.yaml=")
    assert next(iter(cluster.running.values())) is pod
    run(cluster, HELM, "upgrade", "levee", chart.CHART, *values, "--set", "config.log=warn")
    assert next(iter(cluster.running.values())) is not pod


def test_a_migration_that_fails_keeps_the_pods_as_they_were(cluster):
    values = ("-n", "levee", "-f", CASES["postgres"], *QUICK, "--timeout", "30s")
    run(cluster, HELM, "install", "levee", chart.CHART, *values)
    until(lambda: cluster.running, "a pod runs")
    secret = cluster.objects[("v1", "secrets", "levee", "levee-database")]
    secret["stringData"]["database-url"] = "postgres://nobody@127.0.0.1:1/none"
    message = run(cluster, HELM, "upgrade", "levee", chart.CHART, *values, "--set", "config.log=debug", good=False)
    assert "pre-upgrade hooks failed" in message
    assert "log: \"info\"" in cluster.objects[("v1", "configmaps", "levee", "levee")]["data"]["levee.yaml"]
    assert "levee" not in cluster.stopped


def in_force(cluster, name):
    """Whether the running pod has an upstream of that name."""
    pod = next(iter(cluster.running.values()), None)
    return bool(pod) and f'upstream="{name}"' in pod.ask("ops", "/metrics")[1]


@pytest.mark.parametrize("scope, name, namespace", [
    ("", "rates", "levee"),
    ("", "shop.rates", "shop"),
    ("kubernetes.namespaces={levee,shop}", "shop.rates", "shop"),
])
def test_the_rights_of_the_chart_are_enough_and_no_more_than_the_program_asks_for(cluster, scope, name, namespace):
    settings = QUICK if not scope else (*QUICK, "--set", scope)
    run(cluster, HELM, "install", "levee", chart.CHART, "-n", "levee", "-f", EXAMPLES["trial"], *settings, "--wait", "--timeout", "20s")
    run(cluster, KUBECTL, "apply", "-n", namespace, "-f", "-", sent=UPSTREAM)
    until(lambda: in_force(cluster, name), "the custom resource is in force")
    key = ("levee.dev/v1alpha1", "upstreams", namespace, "rates")
    until(lambda: cluster.objects[key].get("status", {}).get("conditions"), "its status is written")
    until(lambda: ("", "events", "create", namespace) in cluster.asked, "an Event is written")
    assert cluster.refused == []
    run(cluster, KUBECTL, "delete", "-n", namespace, "upstream", "rates")
    until(lambda: not in_force(cluster, name), "it is gone")


def test_an_upstream_outside_the_named_namespaces_does_not_count(cluster):
    run(cluster, HELM, "install", "levee", chart.CHART, "-n", "levee", "-f", EXAMPLES["trial"], *QUICK,
        "--set", "kubernetes.namespaces={levee}", "--wait", "--timeout", "20s")
    run(cluster, KUBECTL, "apply", "-n", "shop", "-f", "-", sent=UPSTREAM)
    run(cluster, KUBECTL, "apply", "-n", "levee", "-f", "-", sent=UPSTREAM.replace("rates", "inside"))
    until(lambda: in_force(cluster, "inside"), "the one inside is in force")
    assert not in_force(cluster, "shop.rates") and cluster.refused == []


def test_without_custom_resources_the_pods_ask_the_api_server_nothing(cluster):
    run(cluster, HELM, "install", "levee", chart.CHART, "-n", "levee", "-f", EXAMPLES["trial"], *QUICK,
        "--set", "kubernetes.enabled=false", "--wait", "--timeout", "20s")
    assert cluster.asked == cluster.refused == []
    assert not [key for key in cluster.objects if key[0].startswith("rbac")]
