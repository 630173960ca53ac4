"""The chart gives the rights that the program asks for (helm/rights.json), each where it is needed, and no other."""

import json

import pytest

import chart
from chart import CASES, EXAMPLES

ALL = CASES | EXAMPLES
RIGHTS = json.loads((chart.ROOT / "helm" / "rights.json").read_text())["rights"]


def given(rendered, account):
    """(namespace or None for the cluster, group, resource, verb) that the bindings give to a service account."""
    roles = {(role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]): role["rules"]
             for role in rendered if role["kind"] in ("Role", "ClusterRole")}
    found = set()
    for binding in rendered:
        if not binding["kind"].endswith("RoleBinding"):
            continue
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": account, "namespace": "levee"}]
        namespace = binding["metadata"].get("namespace")
        for rule in roles.pop((binding["roleRef"]["kind"], namespace, binding["roleRef"]["name"])):
            assert set(rule) == {"apiGroups", "resources", "verbs"}
            found |= {(namespace, group, resource, verb) for group in rule["apiGroups"] for resource in rule["resources"] for verb in rule["verbs"]}
    assert roles == {}, "a role that nobody is bound to"
    return found


def wanted(namespaces, secret_namespaces):
    """What the table says, spread over the namespaces."""
    places = {"watched_namespaces": namespaces or [None], "own_namespace": ["levee"], "secret_namespaces": {"levee", *secret_namespaces}}
    return {(namespace, right["apiGroup"], right["resource"], verb)
            for right in RIGHTS for namespace in places[right["where"]] for verb in right["verbs"]}


@pytest.mark.parametrize("case", ALL)
def test_the_roles_say_what_the_table_does(case):
    values = chart.yaml.safe_load(ALL[case].read_text())
    kubernetes = values.get("kubernetes", {})
    rendered = chart.objects(ALL[case])
    account = chart.the(rendered, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    has_rights = kubernetes.get("enabled", True) and values.get("rbac", {}).get("create", True)
    expected = wanted(kubernetes.get("namespaces"), kubernetes.get("secretNamespaces", [])) if has_rights else set()
    assert given(rendered, account) == expected


def test_the_rights_in_two_namespaces_reach_no_other():
    assert {namespace for namespace, *_ in given(chart.objects(CASES["namespaced"]), "levee")} == {"levee", "shop"}


def test_no_right_is_a_wildcard():
    for right in RIGHTS:
        assert "*" not in [right["apiGroup"], right["resource"], *right["verbs"]]


@pytest.mark.parametrize("case", ALL)
def test_a_token_is_mounted_only_where_it_is_used(case):
    values = chart.yaml.safe_load(ALL[case].read_text())
    for name, _, spec in chart.pods(chart.objects(ALL[case])):
        tokens = [source["serviceAccountToken"] for volume in spec.get("volumes", []) for source in volume.get("projected", {}).get("sources", []) if "serviceAccountToken" in source]
        used = name.startswith("Deployment/") and values.get("kubernetes", {}).get("enabled", True)
        assert len(tokens) == used, name
        for container in spec.get("initContainers", []):
            assert "kubernetes" not in [mount["name"] for mount in container["volumeMounts"]]


def test_the_token_is_bound_to_an_audience_where_one_is_named():
    volumes = chart.the(chart.objects(CASES["restricted-network"]), "Deployment")["spec"]["template"]["spec"]["volumes"]
    sources = next(volume for volume in volumes if volume["name"] == "kubernetes")["projected"]["sources"]
    assert sources[0] == {"serviceAccountToken": {"path": "token", "expirationSeconds": 7200, "audience": "https://kubernetes.default.svc"}}


def test_the_definition_is_installed_and_kept_as_the_values_say():
    for settings, annotation in (("crds.keep=true", "keep"), ("crds.keep=false", None)):
        definition = chart.the(chart.objects(CASES["postgres"], "--set", settings), "CustomResourceDefinition")
        assert definition["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == annotation
        assert definition["spec"] == chart.yaml.safe_load((chart.ROOT / "openapi" / "upstream.crd.yaml").read_text())["spec"]
    assert chart.of_kind(chart.objects(CASES["postgres"], "--set", "crds.enabled=false"), "CustomResourceDefinition") == []
