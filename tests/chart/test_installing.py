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
    assert {key[1] for key in cluster.objects} <= {"namespaces", "secrets", "pods"}


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
