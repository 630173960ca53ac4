"""The pods that the chart describes, run here: they become ready, serve what the values say, and stop in time."""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import chart
from chart import CASES, EXAMPLES
from kubelet import Pod, until

KEYS = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
PASSWORD = "a password for a test"
SECRETS = {
    "levee-keys": {"secret-keys": f"{KEYS}\n"},
    "levee-admin": {"password": f"{PASSWORD}\n"},
    "levee-redis": {"redis-url": os.environ.get("LEVEE_TEST_REDIS", "")},
    "levee-database": {"database-url": os.environ.get("LEVEE_TEST_POSTGRES", "")},
}
QUICK = ("--set", "kubernetes.enabled=false,drain.delaySeconds=1,drain.timeoutSeconds=5")


@pytest.fixture
def started(tmp_path):
    """Starts pods and sees to it that none is left."""
    running = []

    def start(values, *more):
        rendered = chart.objects(values, *more)
        folder = tmp_path / str(len(running))
        folder.mkdir()
        pod = Pod(folder, rendered, chart.the(rendered, "Deployment")["spec"]["template"]["spec"], SECRETS)
        pod.start()
        running.append(pod)
        until(lambda: pod.process.poll() is not None or pod.probe("readiness") == 200, "ready")
        assert pod.process.poll() is None, pod.told()
        return pod, rendered

    yield start
    for pod in running:
        if pod.process.poll() is None:
            pod.process.kill()
            pod.process.wait()


def signed_in(pod, email, password):
    """What an admin's requests carry."""
    body = json.dumps({"email": email, "password": password}).encode()
    status, text = pod.ask("api", "/api/v1/auth/login", body, **{"Content-Type": "application/json"})
    assert status == 200, text
    return {"Authorization": f"Bearer {json.loads(text)['accessToken']}"}


def names_of_upstreams(pod, admin):
    return {item["name"] for item in json.loads(pod.ask("api", "/api/v1/upstreams", **admin)[1])["items"]}


def test_one_pod_on_sqlite_serves_its_upstreams_and_sees_them_change(started):
    pod, rendered = started(CASES["sqlite"], *QUICK)
    assert [pod.probe(name) for name in ("startup", "readiness", "liveness")] == [200, 200, 200]
    admin = signed_in(pod, "ada@example.com", PASSWORD)
    assert names_of_upstreams(pod, admin) == {"rates"}
    data = pod.maps["levee-upstreams"]
    pod.swap(pod.volumes["upstreams"], {"rates.yaml": data["rates.yaml"].replace("name: rates", "name: prices")})
    until(lambda: names_of_upstreams(pod, admin) == {"prices"}, "the swapped ConfigMap takes effect")
    assert pod.stop() == 0, pod.told()


def test_a_pod_announces_its_end_before_it_stops(started):
    pod, _ = started(CASES["sqlite"], *QUICK)
    pod.process.terminate()
    until(lambda: pod.probe("readiness") == 503, "not ready once told to stop", 1)
    assert pod.probe("liveness") == 200
    assert pod.process.wait(pod.spec["terminationGracePeriodSeconds"]) == 0


def test_what_helm_test_runs_sees_a_release_that_is_ready_and_one_that_is_not(started, tmp_path):
    pod, rendered = started(CASES["sqlite"], *QUICK)
    spec = chart.the(rendered, "Pod")["spec"]
    asking = Pod(tmp_path, rendered, spec, SECRETS)
    url = spec["containers"][0]["args"][-1]
    spec["containers"][0]["args"][-1] = url.replace("levee.levee:9464", f"127.0.0.1:{pod.ports['ops']}")
    assert asking.run(spec["containers"][0]).returncode == 0
    pod.stop()
    assert asking.run(spec["containers"][0]).returncode == 1


def test_the_trial_of_the_examples_works_as_it_is(started):
    pod, _ = started(EXAMPLES["trial"], *QUICK)
    admin = signed_in(pod, "admin@example.com", "an easy password for a trial")
    assert names_of_upstreams(pod, admin) == {"httpbin"}
    assert pod.stop() == 0


def test_pods_on_postgres_and_redis_start_once_the_job_has_run(started, tmp_path):
    assert os.environ.get("LEVEE_TEST_POSTGRES") and os.environ.get("LEVEE_TEST_REDIS"), "run it by tests/with-servers.sh"
    rendered = chart.objects(CASES["postgres"], *QUICK)
    job = Pod(tmp_path, rendered, chart.the(rendered, "Job")["spec"]["template"]["spec"], SECRETS)
    done = job.run(job.spec["containers"][0])
    assert done.returncode == 0, done.stdout + done.stderr
    replicas = [started(CASES["postgres"], *QUICK)[0] for _ in range(2)]
    assert [replica.probe("readiness") for replica in replicas] == [200, 200]
    for replica in replicas:
        until(lambda: 'levee_dependency_up{dependency="redis"} 1' in replica.ask("ops", "/metrics")[1], "Redis answers")
    assert [replica.stop() for replica in replicas] == [0, 0]


def test_spans_of_a_pod_name_it_and_go_to_the_collector(started):
    """The collector is a socket that only counts: what spans hold is tested with the program."""
    asked = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            asked.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *words):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    pod, _ = started(CASES["sqlite"], "--set", QUICK[1] + f",tracing.endpoint={endpoint}")
    pod.ask("api", "/api/v1/health")
    assert pod.stop() == 0, pod.told()
    assert [path for path, _ in asked][:1] == ["/v1/traces"] and b"k8s.pod.name" in asked[0][1]
    server.shutdown()
