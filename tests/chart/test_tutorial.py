"""docs/kubernetes.md, typed in from its top to its end in a stand-in for a cluster. What is shown must be in what is printed.

Not here: Docker and kind, which are stood in for by programs that do nothing; the port-forward, for which the addresses in
the commands are replaced; the test server in the cluster, which is one of this process, so that its address is another.
"""

import re
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import chart
from cluster import Cluster

PAGE = chart.ROOT / "docs" / "kubernetes.md"
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
    state = tmp_path / "state"
    state.write_text("")
    variables = {"HOME": str(tmp_path), "KUBECONFIG": str(cluster.kubeconfig), "PATH": f"{programs}:/usr/bin:/bin"}

    def here(code):
        """The commands with this machine's addresses in place of the cluster's."""
        code = code.replace("http://httpbin.shop", upstream.url).replace("httpbin.yaml", f"{tmp_path}/httpbin.yaml").replace("10.96.0.0/12", "127.0.0.0/8")
        code = re.sub(r"^(kubectl .* port-forward ).*$", "true", code, flags=re.M)
        for pod in list(cluster.running.values()):
            code = code.replace("127.0.0.1:8080", f"127.0.0.1:{pod.ports['calls']}").replace("127.0.0.1:8081", f"127.0.0.1:{pod.ports['api']}")
        return code

    def run(code):
        script = f"set -eu -o pipefail\n. {state}\n{here(code)}\nset | grep -E '^(API|JSON|TOKEN|ACCOUNT|KEY)=' >{state} || true\n"
        done = subprocess.run(["bash", "-c", script], cwd=chart.ROOT, env=variables, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{code}\n{done.stdout}{done.stderr}\n{cluster.outputs}"
        return done.stdout + done.stderr

    yield run, cluster
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
