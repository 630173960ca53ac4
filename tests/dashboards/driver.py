"""Makes every outcome happen, over and over, so that every series that can move does."""

import contextlib
import itertools
import threading
import time

import httpx
from service import EMAIL, PASSWORD, free_port, in_background, until

OPERATOR = {"expiresIn": "1h", "reason": "the driver wants it so"}


def documents(upstream):
    """The upstreams: each is there for some of the outcomes."""
    dead = f"http://127.0.0.1:{free_port()}"
    quick = "retry: { attempts: 1 }, cache: { mode: off }"
    never = "breaker: { minimumCalls: 100000, consecutiveFailures: 0 }"
    fast = "breaker: { minimumCalls: 5, window: { duration: 2s }, consecutiveFailures: 3, open: { base: 500ms, cap: 1s } }"
    retry = "retry: { attempts: 3, backoff: { base: 1ms, cap: 2ms, throttledBase: 1ms }, budget: { percent: 100, minPerSecond: 1000 } }"
    time_ = "timeout: { total: 1s, attempt: 250ms }"
    specs = {
        "quotes": f"owner: team-pricing, {time_}, {retry}, {fast}, fallback: [{{ stale: {{ maxAge: 1h }} }}, {{ static: {{ body: instead }} }}]",
        "bare": f"owner: team-search, {time_}, {quick}, {never}, limits: {{ request: 1KiB }}",
        "retried": f"owner: team-search, {time_}, {retry}, {never}, cache: {{ mode: off }}",
        "slow": f"{quick}, breaker: {{ minimumCalls: 1, slowCall: {{ threshold: 10ms, rate: 1.0 }}, open: {{ base: 100ms, cap: 200ms }} }}",
        "dead": f"url: '{dead}', owner: team-gone, {quick}, breaker: {{ consecutiveFailures: 2, open: {{ base: 60s }} }}",
        "routed": f"url: '{dead}', {time_}, {quick}, {fast}, fallback: [{{ upstream: {{ name: idle }} }}]",
        "idle": f"owner: team-idle, {quick}, {never}",
        "kept": "timeout: { total: 3s }, retry: { attempts: 1 }, cache: { mode: respect, negative: [{ status: 404, ttl: 1s }] }",
        "narrow": f"{quick}, timeout: {{ total: 5s }}, concurrency: {{ limit: 1, queue: 1, queueTimeout: 3s, perCaller: 2 }}",
        "full": f"{quick}, concurrency: {{ limit: 1, queue: 0 }}, fallback: [{{ static: {{ body: later }} }}]",
        "keyed": f"{quick}, credentials: {{ basic: {{ username: levee }} }}",
        "rationed": f"{quick}, quota: {{ rate: 1/s, burst: 1, onExhausted: reject }}",
        "forced": f"{quick}, fallback: [{{ static: {{ body: planned }} }}]",
    }
    return "".join(document(name, spec, upstream.url) for name, spec in specs.items())


def document(name, spec, url):
    """One document, in YAML's short form."""
    place = "" if "url:" in spec else f"url: '{url}', "
    return (
        "---\napiVersion: levee.dev/v1alpha1\nkind: Upstream\n"
        f"metadata: {{ name: {name} }}\nspec: {{ {place}access: {{ allow: [any_authenticated] }}, {spec} }}\n"
    )


class Driver:
    """Calls and asks until it is told to stop."""

    def __init__(self, levee, upstream):
        self.levee, self.upstream = levee, upstream
        self.calls = httpx.Client(base_url=levee.addresses["data"], timeout=10)
        self.api = httpx.Client(base_url=levee.addresses["api"] + "/api/v1", timeout=10)
        self.rounds, self.stopping, self.failed = 0, threading.Event(), None

    def prepare(self):
        """Signs in, makes callers, an upstream of the API and forced breakers."""
        signed_in = self.api.post("/auth/login", json={"email": EMAIL, "password": PASSWORD}).raise_for_status()
        self.api.headers["Authorization"] = f"Bearer {signed_in.json()['accessToken']}"
        self.keys = [self.key(name) for name in ("checkout", "search")]
        spec = {"url": self.upstream.url, "access": {"allow": ["any_authenticated"]}}
        self.api.post("/upstreams", json={"name": "registered", "spec": spec}).raise_for_status()
        for name, mode in (("forced", "forced_open"), ("idle", "metrics_only")):
            self.api.put(f"/breakers/{name}", json={"mode": mode, **OPERATOR}).raise_for_status()

    def key(self, account):
        """The key of a new service account."""
        made = self.api.post("/service-accounts", json={"name": account, "class": "normal"}).raise_for_status().json()
        return self.api.post(f"/service-accounts/{made['id']}/keys", json={"name": "driver"}).raise_for_status().json()["key"]

    def call(self, path, method="GET", caller=0, **more):
        """One call; any answer is welcome."""
        headers = {"Levee-Key": self.keys[caller], **more.pop("headers", {})}
        with contextlib.suppress(httpx.HTTPError):
            return self.calls.request(method, f"/proxy/{path}", headers=headers, **more)

    def start(self):
        """Goes on in the background."""
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        """Round after round."""
        try:
            for self.rounds in itertools.count():
                if self.stopping.is_set():
                    return
                self.round()
        except Exception as error:  # noqa: BLE001 - told to whoever waits
            self.failed = error

    def round(self):
        """Everything once; about two seconds."""
        in_background(self.well, self.badly, self.crowded, self.quotes, self.strangers, self.control_plane)

    def well(self):
        """Answers, fresh and kept."""
        for path in ("ok", "status/404"):
            self.call(f"bare/{path}")
        for _ in range(3):
            self.call("kept/longer/a")
            self.call("kept/kept/b")
            self.call("kept/swr/c")
            self.call("kept/tagged/d")
            self.call("kept/private/e")
            self.call("kept/status/404")
            self.call("kept/kept/missing", headers={"Cache-Control": "only-if-cached"})
            time.sleep(0.6)
        for method in ("POST", "PUT", "DELETE"):
            self.call("kept/ok", method)
        together = [lambda: self.call(f"kept/wait/0.2/{self.rounds}")] * 4
        in_background(*together)

    def badly(self):
        """The upstream fails in every way there is."""
        for path in ("status/500", "reset", "garbage", "wait/0.6"):
            self.call(f"bare/{path}")
        for path in ("status/503", "reset", "wait/0.6"):
            self.call(f"retried/{path}")
        for _ in range(3):
            self.call("rationed/ok")
        self.call("slow/wait/0.05")
        for name in ("dead", "dead", "routed", "keyed", "forced", "slow"):
            self.call(f"{name}/ok")
        self.call("bare/ok", "POST", content=iter([b"x" * 4096]))
        with contextlib.suppress(httpx.HTTPError):
            self.calls.get("/proxy/bare/wait/0.2", headers={"Levee-Key": self.keys[0]}, timeout=0.05)

    def crowded(self):
        """More calls than there are seats."""
        held = [lambda caller=caller: self.call("narrow/wait/1.5", caller=caller) for caller in (0, 0, 0, 1, 1)]
        full = [lambda: self.call("full/wait/0.3")] * 3
        in_background(*held, *full)

    def quotes(self):
        """An upstream that comes and goes: retries, a breaker that opens and closes, stale and prepared answers."""
        for number in range(3):
            self.call(f"quotes/kept/{number}")
        time.sleep(0.8)
        self.upstream.away = True
        for number in range(9):
            self.call(f"quotes/kept/{number}")
        self.upstream.away = False
        for number in range(8):
            time.sleep(0.15)
            self.call(f"quotes/kept/{number}")

    def strangers(self):
        """Requests that never become calls."""
        for key, path in (("lvk_nonsense", "bare/ok"), (self.keys[0], "nobody/x"), (self.keys[0], "bare/../x")):
            with contextlib.suppress(httpx.HTTPError):
                self.calls.get(f"/proxy/{path}", headers={"Levee-Key": key})

    def control_plane(self):
        """People and programs at the API."""
        for path in ("/auth/me", "/upstreams", "/breakers", "/service-accounts", "/users", "/upstreams/nobody"):
            self.ask("GET", path)
        self.ask("POST", "/upstreams", {"name": "x"})
        for scope in ({"upstream": "kept", "url": "/kept/gone"}, {"upstream": "kept", "tag": "old"}, {"upstream": "kept", "glob": "/gone/**"}, {"upstream": "idle", "all": True}):
            self.ask("POST", "/cache/purge", scope)
        self.ask("POST", "/auth/login", {"email": EMAIL, "password": "not the password at all"})
        self.ask("POST", "/auth/refresh", {"refreshToken": "nonsense"})

    def ask(self, method, path, body=None):
        """One request of the control plane; any answer is welcome."""
        self.api.request(method, path, json=body)

    def stop(self):
        """Ends after this round, and must have come so far."""
        self.stopping.set()
        assert self.failed is None, f"{self.failed!r}"

    def done(self, rounds):
        """Waits for so many rounds."""
        def enough():
            if self.failed:
                raise AssertionError(f"the driver stopped: {self.failed!r}")
            return self.rounds >= rounds

        until(f"{rounds} rounds", enough, within=90)
