"""Checks against a live Levee that a real Prometheus scrapes while a driver makes everything happen."""

import contextlib
import math
import pathlib
import re
import subprocess
import tempfile
import time

import httpx
import shipped
from driver import Driver, documents
from service import Levee, Prometheus, until
from upstream import Upstream

# What Grafana would put into the queries, with a scrape a second.
VARIABLES = {
    "$__rate_interval": "30s", "$__range": "5m", "$job": "levee", "$instance": ".*", "$upstream": ".*",
}
# The dashboard of one upstream: each panel has something to show for one of these.
UPSTREAMS = ("quotes", "bare", "keyed", "narrow", "forced", "rationed")
ROUNDS = 6
SECONDS = 60
# A vector with its matchers and window; a number that something is compared with.
SELECTOR = re.compile(r"(?<![\w:])((?:levee[_:]|process_|up\b)[a-z0-9_:]*)(\{[^}]*\})?(\[\w+\])?")
THRESHOLD = re.compile(r"\s*(?:==|!=|>=|<=|>|<)\s*(?:bool\s+)?[0-9.]+(?:\s*[*/]\s*[0-9.]+)*")

# Metrics that show only where there is what the driver cannot bring: they have to be declared, named in the pages and
# panels, and their alerts have their scenarios.
NOT_HERE = {
    "levee_leader",
    "levee_kubernetes_watch_last_event_timestamp_seconds",
    "levee_issuer_keys",
    "levee_issuer_keys_fetched_timestamp_seconds",
    "levee_issuer_fetches_total",
}

# Label values that must have been seen to count, by metric and label; the others cannot be provoked from outside.
MUST_HAPPEN = {
    ("levee_calls_total", "outcome"): {
        "upstream", "upstream_error", "cache", "fallback", "refused", "unavailable", "failed", "cancelled",
    },
    ("levee_calls_total", "method"): {"GET", "POST", "PUT", "DELETE"},
    ("levee_call_duration_seconds_count", "outcome"): {"upstream", "cache", "fallback", "levee"},
    ("levee_caller_calls_total", "caller"): {"sa:checkout", "sa:search"},
    ("levee_attempts_total", "result"): {
        "success", "failure", "slow", "timeout", "connect_failure", "reset", "protocol", "cancelled",
    },
    ("levee_quota_takes_total", "result"): {"at_once", "refused"},
    ("levee_retries_total", "reason"): {"reset", "timeout", "status"},
    ("levee_breaker_state", "state"): {"closed", "open", "forced_open"},
    ("levee_breaker_transitions_total", "reason"): {
        "failure_rate", "slow_rate", "consecutive_failures", "period_over", "probes_good", "operator",
    },
    ("levee_breaker_forced", "mode"): {"forced_open", "metrics_only"},
    ("levee_fallbacks_total", "step"): {"stale", "upstream", "static"},
    ("levee_fallbacks_total", "cause"): {"connect_failure", "circuit_open", "overloaded", "status"},
    ("levee_cache_requests_total", "result"): {
        "hit", "stale", "miss", "revalidated", "bypass", "hit_for_miss", "collapsed", "negative",
    },
    ("levee_problems_total", "problem"): {
        "unauthorized", "unknown-upstream", "payload-too-large", "quota-exhausted", "too-many-concurrent", "circuit-open",
        "overloaded", "credentials-missing", "upstream-timeout", "upstream-unreachable", "upstream-protocol",
        "only-if-cached",
    },
    ("levee_upstream_info", "owner"): {"team-pricing", "team-search", "team-gone", "team-idle"},
    ("levee_upstream_connections", "state"): {"open", "idle"},
    ("levee_previous_stop", "how"): {"killed"},
    ("levee_connections", "listener"): {"proxy"},
    ("levee_auth_failures_total", "reason"): {"malformed", "password", "refresh"},
    ("levee_rate_limited_total", "scope"): {"auth"},
    ("levee_redis_questions_total", "result"): {"answered"},
    ("levee_cache_purges_total", "scope"): {"path", "tag", "glob", "upstream"},
    ("levee_cache_leases_total", "result"): {"taken"},
    ("levee_cache_fleet_looks_total", "result"): {"miss"},
    ("levee_cache_fleet_writes_total", "result"): {"stored"},
    ("levee_http_requests_total", "status"): {"200", "201", "400", "401", "404", "429", "503"},
}


@contextlib.contextmanager
def running(binary):
    """The whole of it, after everything has happened."""
    with tempfile.TemporaryDirectory(prefix="levee-dashboards-") as folder, contextlib.ExitStack() as end:
        folder, upstream = pathlib.Path(folder), Upstream()
        end.callback(upstream.server_close)
        end.callback(upstream.shutdown)
        levee, prometheus = Levee(binary, folder), Prometheus(folder)
        levee.write_upstreams(documents(upstream))
        # The second start tells how the first process ended.
        for again in (True, False):
            levee.start()
            end.callback(levee.kill)
            if again:
                levee.kill()
        prometheus.start(levee.addresses["ops"])
        end.callback(prometheus.stop)
        try:
            yield driven(levee, upstream), prometheus
        except BaseException:
            print("the end of Levee's log:", levee.log()[-4000:], sep="\n")
            raise


def driven(levee, upstream):
    """Lets the driver do its rounds; then come a bad edit of the files and the loss of the database."""
    driver = Driver(levee, upstream)
    driver.prepare()
    driver.start()
    driver.done(ROUNDS)
    levee.write_upstreams("kind: Upstream\nspec: { urk: 1 }\n")
    levee.lose_database()
    down = 'levee_dependency_up{dependency="database"} 0'
    until("the loss of the database shows", lambda: down in levee.metrics())
    for _ in range(3):
        driver.ask("POST", "/auth/login", {"email": "nobody@example.com", "password": "none whatever it is"})
        driver.ask("GET", "/audit")
    driver.done(driver.rounds + 1)
    # What was counted last is scraped, and the rules have seen it.
    time.sleep(4)
    return Live(levee, driver)


class Live:
    """What the checks look at: `/metrics` and `/status` as they were when everything had happened."""

    def __init__(self, levee, driver):
        self.driver, self.metrics = driver, levee.metrics()
        self.status = httpx.get(f"{levee.addresses['ops']}/status").json()

    def shown(self):
        """Names of the metrics there are."""
        return set(re.findall(r"^# TYPE (\S+)", self.metrics, re.MULTILINE))

    def known(self):
        """Those, and the ones that show only elsewhere."""
        return self.shown() | (NOT_HERE & shipped.declared())

    def values(self, metric, label):
        """Values of a label that count more than zero."""
        found = set()
        for line in self.metrics.splitlines():
            if line.startswith(metric + "{"):
                series, _, value = line.rpartition(" ")
                if float(value) > 0 and (match := re.search(rf'[{{,]{label}="([^"]*)"', series)):
                    found.add(match[1])
        return found


def says_something(series):
    """Whether there is a number in the answer."""
    samples = [sample for one in series for sample in one.get("values", [one.get("value")])]
    return any(not math.isnan(float(value)) for _, value in samples)


def is_of_elsewhere(expression):
    """Whether it asks for what cannot be had here."""
    return bool(shipped.metrics_named(expression) & NOT_HERE)


def asked(expression, upstream=".*"):
    """As Grafana would ask."""
    for name, value in {**VARIABLES, "$upstream": upstream}.items():
        expression = expression.replace(name, value)
    assert "$" not in expression, expression
    return expression


def every_panel_shows_something(_, prometheus):
    """For the dashboard of one upstream: for one of them."""
    empty = []
    for name, dashboard in shipped.dashboards().items():
        for panel in shipped.panels(dashboard):
            for target in panel["targets"]:
                if is_of_elsewhere(target["expr"]):
                    continue
                choices = UPSTREAMS if name == "upstream" else (".*",)
                answers = (prometheus.over_time(asked(target["expr"], choice), seconds=SECONDS) for choice in choices)
                if not any(says_something(answer) for answer in answers):
                    empty.append(f"{name}: {panel['title']}: {target['expr']}")
    assert not empty, "\n".join(empty)


def every_variable_and_mark_of_a_dashboard_has_values(_, prometheus):
    """`label_values(metric, label)` is Grafana's own; the metric has to exist with that label."""
    for name, dashboard in shipped.dashboards().items():
        for variable in dashboard["templating"]["list"][1:]:
            metric, label = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"]).groups()
            found = {one["metric"].get(label) for one in prometheus.now(asked(metric))}
            assert found - {None, ""}, f"{name}: {variable['name']}"
        for annotation in dashboard["annotations"]["list"]:
            assert prometheus.now(THRESHOLD.sub("", asked(annotation["expr"]))), f"{name}: {annotation['name']}"


def every_alert_finds_what_it_looks_at(_, prometheus):
    """Each vector of its expression, and the whole without what it is compared with."""
    empty = []
    for rule in shipped.alerts():
        if is_of_elsewhere(rule["expr"]):
            continue
        vectors = {"".join(match) for match in SELECTOR.findall(rule["expr"])}
        absent = rule["expr"].startswith("absent(")
        whole = [] if absent else [THRESHOLD.sub("", rule["expr"])]
        for vector in [*sorted(vectors), *whole]:
            ranged = f"last_over_time({vector})" if re.fullmatch(r".*\[\w+\]", vector) else vector
            if not says_something(prometheus.now(ranged)):
                empty.append(f"{rule['alert']}: {vector}")
    assert not empty, "\n".join(empty)


def every_rule_records_and_none_fails(_, prometheus):
    """As Prometheus itself sees it."""
    empty = [rule["record"] for rule in shipped.rules() if "record" in rule and not says_something(prometheus.now(rule["record"]))]
    assert not empty, empty
    for group in prometheus.ask("rules")["groups"]:
        for rule in group["rules"]:
            assert rule["health"] == "ok", f"{rule['name']}: {rule.get('lastError')}"


def what_alerts_say_is_filled_in(_, prometheus):
    """Those that wait to fire have their texts already."""
    waiting = prometheus.ask("alerts")["alerts"]
    names = {alert["labels"]["alertname"] for alert in waiting}
    expected = {"LeveeDependencyDown", "LeveeUpstreamFilesRefused", "LeveeBreakerForced", "LeveeDrainOverran", "LeveeUpstreamFailing"}
    assert expected <= names, expected - names
    for alert in waiting:
        for text in alert["annotations"].values():
            assert "<error" not in text and "%!" not in text and "<no value>" not in text, alert
    owners = {alert["labels"]["owner"] for alert in waiting if alert["labels"]["alertname"] == "LeveeUpstreamFailing" and "owner" in alert["labels"]}
    assert "team-pricing" in owners, owners


def every_outcome_has_happened(live, _):
    """Or the checks of the panels would show little."""
    missing = {
        f"{metric} {label}": sorted(wanted - live.values(metric, label))
        for (metric, label), wanted in MUST_HAPPEN.items() if wanted - live.values(metric, label)
    }
    assert not missing, missing


def every_metric_that_is_named_exists(live, _):
    """In rules, panels and pages."""
    unknown = [
        f"{where}: {name}"
        for where, text in [*shipped.expressions(), *((page.name, page.read_text()) for page in shipped.pages())]
        for name in sorted(shipped.metrics_named(text) - live.known())
    ]
    assert not unknown, "\n".join(unknown)


def every_metric_that_exists_is_named(live, _):
    """In a panel or a rule; and in the table of docs/operations.md."""
    used = {name for _, expression in shipped.expressions() for name in shipped.metrics_named(expression)}
    ours = {name for name in live.shown() if name.startswith("levee_")} | shipped.declared()
    assert ours - live.shown() == NOT_HERE, f"declared and not shown: {sorted(ours - live.shown())}"
    assert not ours - shipped.reference(), f"not in docs/operations.md: {sorted(ours - shipped.reference())}"
    assert not ours - used, f"in no panel and no rule: {sorted(ours - used)}"


def promtool_finds_nothing_wrong_with_the_metrics(live, _):
    """Names, units, help, duplicates."""
    done = subprocess.run(["promtool", "check", "metrics"], input=live.metrics, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr.strip(), done.stdout + done.stderr


def status_says_what_is_wrong(live, _):
    """In sentences, each with its runbook."""
    problems = live.status["problems"]
    named = {problem["runbook"] for problem in problems}
    expected = {"LeveeDependencyDown", "LeveeUpstreamFilesRefused", "LeveeCredentialsMissing", "LeveeBreakerForced", "LeveeBreakerOpen"}
    assert expected <= named, f"{expected - named} of {problems}"
    forced = [problem for problem in problems if problem["runbook"] == "LeveeBreakerForced"]
    assert all("the driver wants it so" in problem["detail"] for problem in forced), forced


CHECKS = [
    every_outcome_has_happened,
    every_panel_shows_something,
    every_variable_and_mark_of_a_dashboard_has_values,
    every_alert_finds_what_it_looks_at,
    every_rule_records_and_none_fails,
    what_alerts_say_is_filled_in,
    every_metric_that_is_named_exists,
    every_metric_that_exists_is_named,
    promtool_finds_nothing_wrong_with_the_metrics,
    status_says_what_is_wrong,
]
