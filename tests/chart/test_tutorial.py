"""docs/kubernetes.md, typed in from its top to its end in a stand-in for a cluster. What is shown must be in what is printed.

Not here: Docker and kind, which are stood in for by programs that do nothing; the port-forward, for which the addresses in
the commands are replaced; the test server in the cluster, which is one of this process, so that `service` becomes `url`.
"""

import re
import subprocess
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jsonschema
import pytest

import chart
from cluster import Cluster
from kubelet import free_port, until

PAGE = chart.ROOT / "docs" / "kubernetes.md"
HTTPBIN = ("levee.dev/v1alpha1", "upstreams", "shop", "httpbin")
# Instead of eleven minutes.
WAIT = "for i in $(seq 60); do curl -s http://127.0.0.1:9090/api/v1/alerts | grep -q LeveeBreakerOpen && break; sleep 0.5; done"
STUBS = ("docker", "kind")


def blocks(text):
    """Each block of commands with what is shown below it."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    for index, (language, code) in enumerate(fenced):
        if language == "sh":
            shown = fenced[index + 1][1] if index + 1 < len(fenced) and fenced[index + 1][0] == "" else ""
            yield code, shown


class Upstream:
    """The test server: it answers while the cluster's Deployment has a replica."""

    def __init__(self, cluster):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                if not cluster.objects[("apps/v1", "deployments", "shop", "httpbin")]["spec"].get("replicas", 1):
                    self.connection.close()
                    return
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *words):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


def hasty(groups):
    """The groups with rules that are asked every second and wait for nothing."""
    without = [[{key: value for key, value in rule.items() if key != "for"} for rule in group["rules"]] for group in groups]
    return [{"name": group["name"], "interval": "1s", "rules": rules} for group, rules in zip(groups, without)]


class Prometheus:
    """A Prometheus with the rules that lie in the cluster, which here wait for nothing before they fire."""

    def __init__(self, folder):
        self.folder, self.process = folder, None

    def start(self, cluster):
        """Scrapes the pod that runs; the port of its API."""
        for key, document in list(cluster.objects.items()):
            if key[1] == "prometheusrules":
                (self.folder / f"{key[3]}.rules.yaml").write_text(chart.yaml.safe_dump({"groups": hasty(document["spec"]["groups"])}))
        pod, port = next(iter(cluster.running.values())), free_port()
        target = {"targets": [f"127.0.0.1:{pod.ports['ops']}"], "labels": {"namespace": "levee"}}
        settings = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"}, "rule_files": ["*.rules.yaml"],
            "scrape_configs": [{"job_name": "levee", "static_configs": [target]}],
        }
        (self.folder / "prometheus.yaml").write_text(chart.yaml.safe_dump(settings))
        self.process = subprocess.Popen(
            ["prometheus", "--config.file", self.folder / "prometheus.yaml", "--storage.tsdb.path", self.folder / "tsdb",
             "--web.listen-address", f"127.0.0.1:{port}"],
            stdout=subprocess.DEVNULL, stderr=(self.folder / "prometheus.log").open("w"),
        )
        until(lambda: self.is_ready(port), "Prometheus is ready: see prometheus.log")
        return port

    def is_ready(self, port):
        """Whether it answers."""
        assert self.process.poll() is None, (self.folder / "prometheus.log").read_text()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False

    def stop(self):
        """Ends it."""
        if self.process:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def terminal(tmp_path):
    """Runs blocks one after the other, each with the variables that the ones before have set."""
    cluster = Cluster(tmp_path)
    upstream = Upstream(cluster)
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in STUBS:
        (programs / name).write_text("#!/bin/sh\n")
        (programs / name).chmod(0o755)
    for name, program in {"helm": chart.HELM, "kubectl": chart.KUBECTL}.items():
        (programs / name).symlink_to(program)
    watching = Prometheus(tmp_path)
    state = tmp_path / "state"
    state.write_text("")
    variables = {"HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig), "PATH": f"{programs}:/usr/bin:/bin"}

    def here(code):
        """The commands with this machine's addresses in place of the cluster's."""
        code = code.replace("service: { name: httpbin, port: 80 }", f"url: {upstream.url}").replace("10.96.0.0/12", "127.0.0.0/8")
        code = re.sub(r"^(kubectl .* port-forward |helm repo add |helm install watch ).*$", "true", code, flags=re.M)
        if ":9090" in code:
            code = code.replace("sleep 660", WAIT).replace("127.0.0.1:9090", f"127.0.0.1:{watching.start(cluster)}")
        for pod in list(cluster.running.values()):
            code = code.replace("127.0.0.1:8080", f"127.0.0.1:{pod.ports['calls']}").replace("127.0.0.1:8081", f"127.0.0.1:{pod.ports['api']}")
        return code

    def run(code):
        script = f"set -eu -o pipefail\n. {state}\n{here(code)}\nset | grep -E '^(API|JSON|TOKEN|ACCOUNT|KEY)=' >{state} || true\n"
        done = subprocess.run(["bash", "-c", script], cwd=chart.ROOT, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}\n{cluster.outputs}\n{cluster.objects.get(HTTPBIN)}"
        return done.stdout + done.stderr

    yield run, cluster
    watching.stop()
    cluster.close()
    upstream.server.shutdown()


def test_what_the_tutorial_says_happens(terminal):
    run, cluster = terminal
    count = 0
    for code, shown in blocks(PAGE.read_text()):
        printed = run(code)
        for line in filter(None, map(str.strip, shown.splitlines())):
            assert line in printed, f"{code}\nshows {line!r}, but printed is\n{printed}"
            count += 1
    assert count >= 14 and cluster.refused == []
    assert not [key for key in cluster.objects if key[2] in ("shop", "levee")], "nothing is left"


def strict(schema):
    """A structural schema as the API server applies it when it refuses unknown fields."""
    schema = {key: value for key, value in schema.items() if not key.startswith("x-")}
    if "properties" in schema:
        schema["properties"] = {name: strict(inside) for name, inside in schema["properties"].items()}
        schema["additionalProperties"] = False
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        schema["items"] = strict(schema["items"])
    return schema


def test_every_upstream_shown_is_good_by_the_definition():
    text = (chart.ROOT / "openapi" / "upstream.crd.yaml").read_text()
    schema = strict(chart.yaml.safe_load(text)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"])
    here_documents = re.findall(r"<<'END'\n(.*?)^END$", PAGE.read_text(), re.M | re.S)
    shown = [document for text in here_documents for document in chart.documents(text) if document["kind"] == "Upstream"]
    assert shown
    for document in shown:
        faults = [fault.message for fault in jsonschema.Draft7Validator(schema).iter_errors(document["spec"])]
        assert faults == []
    shown[0]["spec"]["timeout"]["atempt"] = "1s"
    assert list(jsonschema.Draft7Validator(schema).iter_errors(shown[0]["spec"]))


def test_every_value_the_pages_set_is_a_value_of_the_chart():
    values = chart.yaml.safe_load((chart.CHART / "values.yaml").read_text())
    for page in (PAGE, chart.CHART / "README.md"):
        for path in re.findall(r"--set(?:-string)? '?([A-Za-z.]+)=", page.read_text()):
            inside = values
            for part in path.split("."):
                # What is empty by default holds whatever the schema allows.
                assert inside == {} or part in inside, f"{page.name}: --set {path}"
                inside = inside.get(part, {})


def test_every_file_the_pages_install_from_is_there():
    for page in (PAGE, chart.CHART / "README.md"):
        for file in re.findall(r"-f (helm/\S+)", page.read_text()):
            assert (chart.ROOT / file).exists(), f"{page.name}: {file}"
