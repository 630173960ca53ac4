"""What Kubernetes' schemas cannot say: pods are hardened, and whatever names something names something that is there."""

import pytest

import chart
from chart import CASES, EXAMPLES

ALL = CASES | EXAMPLES
# https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
ALLOWED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def every_case(function):
    return pytest.mark.parametrize("case", ALL)(function)


def not_restricted(name, spec):
    """What the restricted standard forbids in a pod."""
    security = spec.get("securityContext", {})
    faults = [f"{name}: {key}" for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        faults.append(f"{name}: may run as root")
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        faults.append(f"{name}: no seccomp profile")
    for volume in spec.get("volumes", []):
        faults += [f"{name}: volume {volume['name']} is {kind}" for kind in set(volume) - {"name"} - ALLOWED_VOLUMES]
    for container in chart.containers(spec):
        inside, where = container.get("securityContext", {}), f"{name}/{container['name']}"
        wanted = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
        faults += [f"{where}: {key}" for key, value in wanted.items() if inside.get(key) != value]
        faults += [f"{where}: {key}" for key in set(inside) - set(wanted)]
        faults += [f"{where}: host port" for port in container.get("ports", []) if "hostPort" in port]
    return faults


@every_case
def test_every_pod_is_of_the_restricted_standard(case):
    found = list(chart.pods(chart.objects(ALL[case])))
    assert found
    assert [fault for name, _, spec in found for fault in not_restricted(name, spec)] == []


def test_a_pod_that_is_not_restricted_is_seen():
    bad = {"hostNetwork": True, "volumes": [{"name": "x", "hostPath": {}}],
           "containers": [{"name": "c", "securityContext": {"privileged": True}, "ports": [{"hostPort": 80}]}]}
    assert len(not_restricted("bad", bad)) == 9


@every_case
def test_no_pod_gets_a_token_it_does_not_need(case):
    for name, _, spec in chart.pods(chart.objects(ALL[case])):
        assert spec["automountServiceAccountToken"] is False and spec["enableServiceLinks"] is False, name


@every_case
def test_every_container_says_what_memory_it_needs(case):
    for name, _, spec in chart.pods(chart.objects(ALL[case])):
        for container in chart.containers(spec):
            assert "memory" in container["resources"]["limits"] and "memory" in container["resources"]["requests"], name


def matched(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


@every_case
def test_every_selector_selects_the_servers_pods_and_no_others(case):
    rendered = chart.objects(ALL[case])
    selectors = {}
    for document in rendered:
        spec, name = document.get("spec", {}), chart.label(document)
        if document["kind"] == "Service":
            selectors[name] = spec["selector"]
        elif document["kind"] in ("Deployment", "PodDisruptionBudget", "PodMonitor"):
            selectors[name] = spec["selector"]["matchLabels"]
        elif document["kind"] == "NetworkPolicy":
            selectors[name] = spec["podSelector"]["matchLabels"]
        for constraint in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", []):
            selectors[f"{name} spread"] = constraint["labelSelector"]["matchLabels"]
            assert constraint["matchLabelKeys"] == ["pod-template-hash"]
    assert len(selectors) >= 2
    for name, labels, _ in chart.pods(rendered):
        for selecting, selector in selectors.items():
            assert matched(selector, labels) == name.startswith("Deployment/"), f"{selecting} and {name}"
    for monitor in chart.of_kind(rendered, "ServiceMonitor"):
        labels = chart.the(rendered, "Service")["metadata"]["labels"]
        assert matched(monitor["spec"]["selector"]["matchLabels"], labels)


def test_the_test_pod_passes_the_policy_that_names_it():
    rendered = chart.objects(CASES["everything"])
    ops = [rule for rule in chart.the(rendered, "NetworkPolicy")["spec"]["ingress"] if rule["ports"][0]["port"] == "ops"]
    peer = ops[0]["from"][-1]["podSelector"]["matchLabels"]
    assert [name for name, labels, _ in chart.pods(rendered) if matched(peer, labels)] == ["Pod/egress-levee-test"]


@every_case
def test_every_named_port_is_there(case):
    rendered = chart.objects(ALL[case])
    service = chart.the(rendered, "Service")
    server = chart.the(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    container_ports = {port["name"] for port in server["ports"]}
    service_ports = {port["name"]: port["port"] for port in service["spec"]["ports"]}
    assert {port["targetPort"] for port in service["spec"]["ports"]} == container_ports
    assert {server[f"{probe}Probe"]["httpGet"]["port"] for probe in ("startup", "readiness", "liveness")} == {"ops"}
    for policy in chart.of_kind(rendered, "NetworkPolicy"):
        assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == container_ports
    for monitor in chart.of_kind(rendered, "ServiceMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["endpoints"]} <= set(service_ports)
    for monitor in chart.of_kind(rendered, "PodMonitor"):
        assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= container_ports
    for route in chart.of_kind(rendered, "HTTPRoute"):
        for backend in route["spec"]["rules"][0]["backendRefs"]:
            assert backend["name"] == service["metadata"]["name"] and backend["port"] in service_ports.values()
    for ingress in chart.of_kind(rendered, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            backend = rule["http"]["paths"][0]["backend"]["service"]
            assert backend["name"] == service["metadata"]["name"] and backend["port"]["name"] in service_ports
    for scaler in chart.of_kind(rendered, "HorizontalPodAutoscaler"):
        assert scaler["spec"]["scaleTargetRef"]["name"] == chart.the(rendered, "Deployment")["metadata"]["name"]
    for name, _, spec in chart.pods(rendered):
        for url in (word for word in spec["containers"][0]["args"] if word.startswith("http://")):
            assert url == f"http://{service['metadata']['name']}.levee:{service_ports['metrics']}/readyz", name


@every_case
def test_every_mount_has_its_volume_and_every_volume_its_mount(case):
    rendered = chart.objects(ALL[case])
    for name, _, spec in chart.pods(rendered):
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        mounts = [mount for container in chart.containers(spec) for mount in container.get("volumeMounts", [])]
        assert {mount["name"] for mount in mounts} == volumes, name
        assert [mount for mount in mounts if "subPath" in mount] == [], "a subPath is never updated"


@every_case
def test_what_the_chart_makes_for_its_pods_goes_by_one_name(case):
    rendered = chart.objects(ALL[case])
    made = {(document["kind"], document["metadata"]["name"]) for document in rendered}
    spec = chart.the(rendered, "Deployment")["spec"]["template"]["spec"]
    fullname = chart.the(rendered, "Deployment")["metadata"]["name"]
    for volume in spec["volumes"]:
        if volume.get("configMap", {}).get("name", "").startswith(fullname):
            assert ("ConfigMap", volume["configMap"]["name"]) in made
        if volume.get("persistentVolumeClaim", {}).get("claimName", "").startswith(fullname):
            assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in made
    accounts = chart.of_kind(rendered, "ServiceAccount")
    assert [account["metadata"]["name"] for account in accounts] in ([spec["serviceAccountName"]], [])


@every_case
def test_no_name_is_taken_twice_or_too_long(case):
    rendered = chart.objects(ALL[case])
    labels = [(chart.label(document), document["metadata"].get("namespace")) for document in rendered]
    assert len(labels) == len(set(labels))
    long = chart.objects(ALL[case], "--set", f"fullnameOverride={'x' * 80}")
    assert max(len(document["metadata"]["name"]) for document in long if "x" * 9 in document["metadata"]["name"]) <= 63


def server_of(case, *more):
    deployment = chart.the(chart.objects(CASES[case], *more), "Deployment")
    return deployment["spec"]["template"]["metadata"], deployment["spec"]["template"]["spec"]


def test_the_grace_period_is_the_sum_of_what_a_stop_takes():
    _, spec = server_of("postgres")
    assert spec["terminationGracePeriodSeconds"] == 5 + 5 + 45 + 5 + 5
    assert spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
    _, spec = server_of("postgres", "--set", "drain.preStopSeconds=1,drain.delaySeconds=2,drain.timeoutSeconds=3,drain.flushSeconds=4")
    assert spec["terminationGracePeriodSeconds"] == 1 + 2 + 3 + 4 + 5
    _, spec = server_of("postgres", "--set", "drain.preStopSeconds=0,terminationGracePeriodSeconds=90")
    assert spec["terminationGracePeriodSeconds"] == 90 and "lifecycle" not in spec["containers"][0]


def test_a_digest_wins_over_a_tag():
    digest = f"sha256:{'0' * 64}"
    for settings, image in {
        "image.tag=1.2": "levee:1.2",
        f"image.tag=1.2,image.digest={digest}": f"levee@{digest}",
        f"image.registry=r.example,image.digest={digest}": f"r.example/levee@{digest}",
        "image.registry=r.example": "r.example/levee:0.1.0",
    }.items():
        rendered = chart.objects(CASES["postgres"], "--set", settings)
        images = {container["image"] for _, _, spec in chart.pods(rendered) for container in chart.containers(spec)}
        assert images == {image}


def test_a_changed_configuration_makes_new_pods_and_changed_upstreams_do_not():
    before, _ = server_of("sqlite")
    after, _ = server_of("sqlite", "--set", "config.log=debug")
    same, _ = server_of("sqlite", "--set", "upstreams.files.more\\.yaml=x")
    key = "checksum/configuration"
    assert before["annotations"][key] != after["annotations"][key]
    assert same == before


def test_an_autoscaled_deployment_leaves_the_number_to_the_autoscaler():
    rendered = chart.objects(CASES["autoscaled"])
    assert "replicas" not in chart.the(rendered, "Deployment")["spec"]
    assert chart.the(rendered, "HorizontalPodAutoscaler")["apiVersion"] == "autoscaling/v2"
    assert chart.the(chart.objects(CASES["postgres"]), "Deployment")["spec"]["replicas"] == 3


def test_sqlite_has_one_pod_that_is_gone_before_the_next_comes():
    spec = chart.the(chart.objects(CASES["sqlite"]), "Deployment")["spec"]
    assert spec["replicas"] == 1 and spec["strategy"] == {"type": "Recreate"}


def test_the_budget_is_of_one_kind_and_never_holds_a_sick_pod():
    for case, wanted in {"postgres": {"minAvailable": 2}, "autoscaled": {"maxUnavailable": "25%"}, "sqlite": {"maxUnavailable": 1}}.items():
        spec = chart.the(chart.objects(CASES[case]), "PodDisruptionBudget")["spec"]
        assert spec.pop("unhealthyPodEvictionPolicy") == "AlwaysAllow" and spec.pop("selector")
        assert spec == wanted


@pytest.mark.parametrize("mode, jobs, inits", [("auto", 1, 0), ("job", 1, 0), ("init", 0, 1), ("none", 0, 0)])
def test_the_schema_is_brought_up_to_date_by_whom_the_values_say(mode, jobs, inits):
    rendered = chart.objects(CASES["postgres"], "--set", f"migration.mode={mode}")
    spec = chart.the(rendered, "Deployment")["spec"]["template"]["spec"]
    found = chart.of_kind(rendered, "Job")
    assert (len(found), len(spec.get("initContainers", []))) == (jobs, inits)
    for job in found:
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    for container in [*(job["spec"]["template"]["spec"]["containers"][0] for job in found), *spec.get("initContainers", [])]:
        assert container["args"] == ["migrate"]


def test_the_job_before_the_first_install_needs_nothing_that_the_chart_makes():
    """Hooks run before the objects of the release are there."""
    rendered = chart.objects(CASES["postgres"])
    spec = chart.the(rendered, "Job")["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    sources = [source for volume in spec["volumes"] for source in volume["projected"]["sources"]]
    assert [source["secret"]["name"] for source in sources] == ["levee-database"]


@every_case
def test_no_secret_stands_in_a_config_map_or_a_variable(case):
    rendered = chart.objects(ALL[case])
    settings = chart.the(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    for variable in settings:
        assert "PASSWORD" not in variable["name"] or variable["name"].endswith("_FILE")
        assert variable["name"] not in ("LEVEE_SECRET_KEYS",) and "postgres" not in variable.get("value", "")
