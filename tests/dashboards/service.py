"""`levee serve` over PostgreSQL and Redis, and a Prometheus that scrapes it, both private and on free ports."""

import contextlib
import glob
import json
import os
import pathlib
import signal
import socket
import subprocess
import threading
import time

import httpx
import shipped

RING = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
EMAIL, PASSWORD = "ada@example.com", "the driver's own long password"
STARTS_WITHIN = 60


def until(what, condition, within=STARTS_WITHIN):
    """Waits for it."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if answer := condition():
                return answer
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {within} s")


def psql(statement):
    """Runs a statement on the server that tests/with-servers.sh started."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin/psql")) or ["psql"]
    subprocess.run([programs[-1], "-qX", "-d", os.environ["LEVEE_TEST_POSTGRES"], "-c", statement], check=True, stdout=subprocess.DEVNULL)


class Levee:
    """One replica; its database can be taken away."""

    def __init__(self, binary, folder):
        self.database = f"levee_dashboards_{os.getpid()}"
        self.binary, self.folder = os.path.abspath(binary), pathlib.Path(folder)
        self.process, self.addresses = None, {}
        (self.folder / "password").write_text(PASSWORD)
        psql(f"CREATE DATABASE {self.database}")
        subprocess.run([self.binary, "migrate"], env=self.environment(), cwd=folder, check=True, capture_output=True)

    def environment(self):
        """Its settings, and none of the developer's."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("LEVEE_", "OTEL_"))}
        server = os.environ["LEVEE_TEST_POSTGRES"].rpartition("/")[0]
        return own | {
            "LEVEE_DATABASE_URL": f"{server}/{self.database}", "LEVEE_SECRET_KEYS": RING,
            "LEVEE_BOOTSTRAP_ADMIN_EMAIL": EMAIL, "LEVEE_BOOTSTRAP_ADMIN_PASSWORD_FILE": str(self.folder / "password"),
            "LEVEE_ALLOWED_CIDRS": "127.0.0.0/8", "LEVEE_SNAPSHOT_DIR": str(self.folder / "state"),
            "LEVEE_REDIS_URL": os.environ["LEVEE_TEST_REDIS"], "LEVEE_REDIS_PREFIX": self.database,
            "LEVEE_DRAIN_DELAY": "0s", "LEVEE_DRAIN_TIMEOUT": "5s", "LEVEE_LOG_FORMAT": "json",
        }

    def start(self):
        """Starts it and waits until it is ready."""
        anywhere = [word for port in ("--listen", "--api-listen", "--ops-listen") for word in (port, "127.0.0.1:0")]
        log = (self.folder / "log").open("wb")
        self.process = subprocess.Popen(
            [self.binary, "serve", "--upstreams", "upstreams.yaml", *anywhere],
            cwd=self.folder, env=self.environment(), stdout=log, stderr=log,
        )
        self.addresses = until("levee is ready", self.ready)

    def ready(self):
        """Its addresses, from the line that says so."""
        assert self.process.poll() is None, self.log()[-3000:]
        for line in self.log().splitlines():
            with contextlib.suppress(json.JSONDecodeError, KeyError, TypeError):
                said = json.loads(line)
                fields = said.get("fields", said)
                if fields["message"] == "ready":
                    return {port: f"http://{fields[port]}" for port in ("data", "api", "ops")}
        return None

    def log(self):
        """All it has printed since its start."""
        return (self.folder / "log").read_text(errors="replace")

    def kill(self):
        """As a power cut does."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """As an operator does."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(30) == 0

    def lose_database(self):
        """Connections end, and new ones are refused."""
        psql(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
        psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")

    def write_upstreams(self, text):
        """Replaces its upstream file in one step."""
        (self.folder / "upstreams.new").write_text(text)
        (self.folder / "upstreams.new").rename(self.folder / "upstreams.yaml")

    def metrics(self):
        """The text of `/metrics`."""
        return httpx.get(f"{self.addresses['ops']}/metrics").raise_for_status().text


class Prometheus:
    """Scrapes once a second and evaluates the shipped rules as often."""

    def __init__(self, folder):
        self.folder, self.process, self.port = pathlib.Path(folder), None, free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def start(self, target):
        """Scrapes this address."""
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file) for file in shipped.RULES],
            "scrape_configs": [{"job_name": "levee", "static_configs": [{"targets": [target.removeprefix("http://")]}]}],
        }
        (self.folder / "prometheus.yml").write_text(json.dumps(configuration))
        log = (self.folder / "prometheus.log").open("wb")
        self.process = subprocess.Popen(
            [
                "prometheus", f"--config.file={self.folder / 'prometheus.yml'}", f"--storage.tsdb.path={self.folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn",
            ],
            stdout=log, stderr=log,
        )
        until("prometheus is ready", lambda: httpx.get(f"{self.url}/-/ready").status_code == 200)

    def stop(self):
        """Its data is thrown away."""
        self.process.kill()
        self.process.wait()

    def ask(self, path, **parameters):
        """One question to its API."""
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, timeout=20).json()
        assert answer["status"] == "success", f"{parameters}: {answer.get('error')}"
        return answer["data"]

    def over_time(self, expression, *, seconds, step=1):
        """The series of an expression over the last seconds."""
        now = time.time()
        asked = {"query": expression, "start": now - seconds, "end": now, "step": step}
        return self.ask("query_range", **asked)["result"]

    def now(self, expression):
        """The samples of an expression now."""
        return self.ask("query", query=expression)["result"]


def free_port():
    """One that nothing uses just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def in_background(*functions):
    """Runs them all at once and waits for them; the first exception is raised."""
    failed = []

    def run(function):
        try:
            function()
        except Exception as error:  # noqa: BLE001 - raised below
            failed.append(error)

    threads = [threading.Thread(target=run, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failed:
        raise failed[0]
