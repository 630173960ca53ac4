"""One upstream: what its callers get, how it does, and what protects it."""

from source.grafana import JOB, dashboard, lines, number, query, states, table, variable

OF = 'job=~"$job", upstream="$upstream"'
RATE = "[$__rate_interval]"
UPSTREAM = variable("upstream", "Upstream", "levee_upstream_info", 'job=~"$job"', several=False)


def rows():
    """Rows and their panels."""
    return [
        ("Now", now()),
        ("What its callers get", callers()),
        ("How it does", exchanges()),
        ("Breaker", breaker()),
        ("Limits", limits()),
        ("Quota", quota()),
        ("Cache and fallbacks", cache()),
    ]


def now():
    """The state in numbers."""
    reached = f"sum(rate(levee_attempts_total{{{OF}}}{RATE}))"
    return [
        table(
            "Owner", "Who is responsible for it, as its document says; and how many replicas know it.", "short",
            f"count by (upstream, owner) (levee_upstream_info{{{OF}}})",
            {"upstream": "Upstream", "owner": "Owner", "Value": "Replicas"}, width=8, height=4,
        ),
        number("Calls", "Calls per second.", "reqps", query(f"sum(rate(levee_calls_total{{{OF}}}{RATE}))")),
        number(
            "Attempts per call", "Exchanges for each call that went out: 1 without retries.", "none",
            query(f"{reached} / ({reached} - sum(rate(levee_retries_total{{{OF}}}{RATE})))"), limits=[1.2, 1.5], decimals=2,
            alert="LeveeAttemptsPerCallHigh",
        ),
        number(
            "Stale runway",
            "Were it away from now on, half of the kept answers could stand in for longer than this. Nothing where no "
            "policy of it falls back on stale copies.",
            "s", query(f"min(levee_cache_stale_runway_seconds{{{OF}}})"), limits=[300, 1800], rising_is_bad=False,
            alert="LeveeStaleRunwayShort",
        ),
        number(
            "Credential", "Whether calls get the stored credential; nothing where none is needed.", "none",
            query(f"min(levee_credentials_attached{{{OF}}})"), limits=[1], rising_is_bad=False,
            mappings={"0": {"text": "missing", "color": "red"}, "1": {"text": "attached", "color": "green"}},
            alert="LeveeCredentialsMissing",
        ),
    ]


def callers():
    """Rate, errors, duration."""
    return [
        lines(
            "Calls by outcome", "How its callers' calls ended.", "reqps",
            query(f"sum by (outcome) (rate(levee_calls_total{{{OF}}}{RATE})) > 0", "{{outcome}}"), stacked=True, width=8,
        ),
        lines(
            "Time to the answer's headers", "From the call's arrival, retries and waiting included; whoever answered.", "s",
            *(
                query(
                    f"histogram_quantile({share}, sum by (le) (rate(levee_call_duration_seconds_bucket{{{OF}}}{RATE})))", name,
                )
                for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
            ),
            width=8,
        ),
        lines(
            "Callers", "The callers with the most calls.", "reqps",
            query(f"topk(10, sum by (caller) (rate(levee_caller_calls_total{{{OF}}}{RATE})))", "{{caller}}"), width=8,
        ),
        lines(
            "Answers Levee made itself", "Refusals and failures of calls to it, by problem type.", "reqps",
            query(f"sum by (problem) (rate(levee_problems_total{{{OF}}}{RATE})) > 0", "{{problem}}"),
        ),
        lines(
            "Calls by method", "Which methods are used; only repeatable ones are retried.", "reqps",
            query(f"sum by (method) (rate(levee_calls_total{{{OF}}}{RATE})) > 0", "{{method}}"),
        ),
    ]


def exchanges():
    """What happens on the wire."""
    return [
        lines(
            "Attempts by result", "Exchanges with the upstream, retries and refreshes included.", "reqps",
            query(f"sum by (result) (rate(levee_attempts_total{{{OF}}}{RATE})) > 0", "{{result}}"), stacked=True, width=8,
        ),
        lines(
            "Time of an attempt", "One exchange, to its headers.", "s",
            *(
                query(
                    f"histogram_quantile({share}, sum by (le) (rate(levee_attempt_duration_seconds_bucket{{{OF}}}{RATE})))",
                    name,
                )
                for share, name in ((0.5, "median"), (0.95, "95th"), (0.99, "99th"))
            ),
            width=8,
        ),
        lines(
            "Connections", "Open connections, those of them that idle, and how many are opened each second.", "short",
            query(f"sum by (state) (levee_upstream_connections{{{OF}}})", "{{state}}"),
            query(f"sum(rate(levee_upstream_dials_total{{{OF}}}{RATE}))", "opened per second"), width=8,
        ),
        lines(
            "Retries", "Further attempts, by what was wrong with the one before.", "reqps",
            query(f"sum by (reason) (rate(levee_retries_total{{{OF}}}{RATE}))", "{{reason}}"), stacked=True,
            alert="LeveeAttemptsPerCallHigh",
        ),
        lines(
            "Retry budget", "Retries that the budget would still allow, in the replica that has the fewest.", "short",
            query(f"min(levee_retry_budget_remaining{{{OF}}})", "left"),
        ),
    ]


def breaker():
    """State, changes, and what people made of it."""
    state = " + ".join(
        f'{weight} * max by (operation) (levee_breaker_state{{{OF}, state="{name}"}})'
        for weight, name in ((1, "half_open"), (2, "open"), (3, "forced_open"))
    )
    return [
        states(
            "State", "The worst state that any replica is in, by operation; the upstream's own breaker has no name.",
            query(state, "{{operation}}"),
            {0: ("closed", "green"), 1: ("half open", "orange"), 2: ("open", "red"), 3: ("forced open", "purple")},
            width=8, height=8, alert="LeveeBreakerOpen",
        ),
        lines(
            "Changes of state", "By where to and why, in all replicas.", "short",
            query(f"sum by (to, reason) (increase(levee_breaker_transitions_total{{{OF}}}{RATE})) > 0", "{{to}}: {{reason}}"),
            width=8,
        ),
        lines(
            "Set by hand", "1 while an operator's mode counts in some replica.", "none",
            query(f"max by (operation, mode) (levee_breaker_forced{{{OF}}})", "{{operation}} {{mode}}"), width=8,
            alert="LeveeBreakerForced",
        ),
        lines(
            "Open in the fleet", "How many replicas have it open, as seen by the one that sees the most.", "short",
            query(f"max by (operation) (levee_breaker_open_replicas{{{OF}}})", "{{operation}}"), width=12,
        ),
        lines(
            "Leases for probes", "Of all upstreams: one replica probes an upstream at a time. `lost`: another had the lease.",
            "reqps", query(f'sum by (result) (rate(levee_breaker_probe_leases_total{{job=~"$job"}}{RATE}))', "{{result}}"), width=12,
        ),
    ]


def limits():
    """Seats and the queue for them."""
    return [
        lines(
            "Seats", "Attempts in flight, and how many there may be, in all replicas.", "short",
            query(f"sum(levee_inflight{{{OF}}})", "in flight"), query(f"sum(levee_concurrency_limit{{{OF}}})", "limit"),
            alert="LeveeSeatsFull",
        ),
        lines(
            "Waiting for a seat", "Attempts that wait. More than a moment of this is a slow upstream or too low a limit.",
            "short", query(f"sum(levee_queue_depth{{{OF}}})", "waiting"), alert="LeveeSeatsFull",
        ),
    ]


def quota():
    """How many attempts it gets in a while; empty where its document names no quota."""
    return [
        lines(
            "Quota: attempts", "Those that asked for a token: at once, after a wait, or refused.", "reqps",
            query(f"sum by (result) (rate(levee_quota_takes_total{{{OF}}}{RATE}))", "{{result}}"), width=8,
            alert="LeveeQuotaExhausted",
        ),
        lines(
            "Quota: tokens left", "Could be taken at once; of a quota that replicas share, those that each holds.", "short",
            query(f"sum by (operation) (levee_quota_remaining{{{OF}}})", "{{operation}}"), width=8,
        ),
        lines(
            "Quota: waiting and pauses", "Attempts that wait for a token, and seconds of a pause that the upstream asked for.",
            "short", query(f"sum by (operation) (levee_quota_waiting{{{OF}}})", "{{operation}} waiting"),
            query(f"max by (operation) (levee_quota_pause_seconds{{{OF}}})", "{{operation}} pause"), width=8,
        ),
        lines(
            "Quota: questions to Redis", "For tokens of a quota that replicas share.", "reqps",
            query(f"sum by (result) (rate(levee_quota_asks_total{{{OF}}}{RATE}))", "{{result}}"),
        ),
        lines(
            "Quota: without Redis", "1 while a shared quota goes on without Redis, by its onStoreLoss.", "none",
            query(f"max by (operation) (levee_quota_degraded{{{OF}}})", "{{operation}}"), alert="LeveeQuotaDegraded",
        ),
    ]


def cache():
    """What stands between callers and an outage."""
    return [
        lines(
            "What the cache did", "`hit` and `negative` were answered from memory; `stale` within its window.", "reqps",
            query(f"sum by (result) (rate(levee_cache_requests_total{{{OF}}}{RATE})) > 0", "{{result}}"), stacked=True, width=8,
        ),
        lines(
            "Fallbacks", "Which step answered, and what set it going.", "reqps",
            query(f"sum by (step, cause) (rate(levee_fallbacks_total{{{OF}}}{RATE})) > 0", "{{step}}: {{cause}}"),
            stacked=True, width=8,
        ),
        lines(
            "Stale runway by replica", "How much longer kept answers can mask an outage.", "s",
            query(f"levee_cache_stale_runway_seconds{{{OF}}}", "{{instance}}"), width=8, alert="LeveeStaleRunwayShort",
        ),
    ]


def made():
    """The dashboard."""
    return dashboard(
        "levee-upstream", "Levee: upstream",
        "One upstream: what its callers get, how it does, and its breaker, limits, cache and fallbacks.",
        [JOB, UPSTREAM], rows(),
    )
