"""Overview: what callers notice, and which upstream it comes from."""

from source.grafana import JOB, dashboard, lines, number, query, table, variable

OF = 'job=~"$job", upstream=~"$upstream"'
RATE = "[$__rate_interval]"
UPSTREAM = variable("upstream", "Upstream", "levee_upstream_info", 'job=~"$job"')


def rows():
    """Rows and their panels, from what users notice down to the upstreams."""
    return [
        ("What callers notice", [*numbers(), *noticed()]),
        ("Which upstream hurts", hurting()),
        ("What Levee does about it", doing()),
    ]


def numbers():
    """The line of numbers at the top."""
    calls = f"sum(rate(levee_calls_total{{{OF}}}{RATE}))"
    well = f'sum(rate(levee_calls_total{{{OF}, outcome=~"upstream|cache|fallback"}}{RATE}))'
    ours = f'sum(rate(levee_calls_total{{{OF}, outcome!~"refused|cancelled"}}{RATE}))'
    return [
        number("Calls", "Calls answered or given up, per second.", "reqps", query(calls)),
        number(
            "Answered well", "Share of calls that got an answer to work with: the upstream's, a kept one or a fallback. "
            "The callers' own mistakes and those who left are not counted.",
            "percentunit", query(f"{well} / {ours}"), limits=[0.95, 0.99], rising_is_bad=False, decimals=2,
        ),
        number(
            "Error budget left, 30 days",
            "What is left of the 0.05 % of calls that Levee itself may fail in 30 days. Below 0 the objective is missed. "
            "All upstreams, whatever is chosen above.",
            "percentunit",
            query(
                '1 - sum(sum_over_time(levee:calls_failed_by_levee:rate5m{job=~"$job"}[30d]))'
                ' / sum(sum_over_time(levee:calls_valid:rate5m{job=~"$job"}[30d])) / 0.0005'
            ),
            limits=[0, 0.25], rising_is_bad=False, decimals=1, alert="LeveeErrorBudgetBurn",
        ),
        number(
            "Breakers not closed", "Circuit breakers that refuse calls or try again, in any replica.", "short",
            query(f'count(max by (upstream, operation) (levee_breaker_state{{{OF}, state!="closed"}}) == 1) or vector(0)'),
            limits=[1], alert="LeveeBreakerOpen",
        ),
        number(
            "Replicas", "Replicas that serve: scraped, and with a set of upstreams in force.", "short",
            query('count(levee_snapshot_applied_timestamp_seconds{job=~"$job"} > 0) or vector(0)'),
            limits=[1], rising_is_bad=False, alert="LeveeNotReady",
        ),
        number(
            "Dependencies down", "Databases and the like that do not answer a replica. Calls go on without them.", "short",
            query('count(levee_dependency_up{job=~"$job"} == 0) or vector(0)'), limits=[1], alert="LeveeDependencyDown",
        ),
    ]


def noticed():
    """Rate, errors, duration and budget over time."""
    return [
        lines(
            "Calls by outcome",
            "How calls ended. `upstream`: its 2xx to 4xx; `upstream_error`: its 5xx, passed on; `unavailable`: circuit "
            "open, overloaded or no credential; `failed`: the upstream could not answer; `internal`: Levee's own fault.",
            "reqps", query(f"sum by (outcome) (rate(levee_calls_total{{{OF}}}{RATE})) > 0", "{{outcome}}"), stacked=True,
        ),
        lines(
            "Errors by who made them",
            "Shares of all calls. An upstream's errors are its owner's; `internal` is ours and burns the budget.",
            "percentunit",
            query(
                f'sum by (outcome) (rate(levee_calls_total{{{OF}, outcome=~"upstream_error|failed|unavailable|internal"}}{RATE}))'
                f" / on () group_left () sum(rate(levee_calls_total{{{OF}}}{RATE}))",
                "{{outcome}}",
            ),
        ),
        lines(
            "Time to the answer's headers, 99th percentile",
            "From a call's arrival, by who answered. `cache` is what Levee itself adds; the others wait for the upstream.",
            "s",
            query(
                f"histogram_quantile(0.99, sum by (outcome, le) (rate(levee_call_duration_seconds_bucket{{{OF}}}{RATE})))",
                "{{outcome}}",
            ),
        ),
        lines(
            "Time to the answer's headers, median", "The same for the call in the middle.", "s",
            query(
                f"histogram_quantile(0.5, sum by (outcome, le) (rate(levee_call_duration_seconds_bucket{{{OF}}}{RATE})))",
                "{{outcome}}",
            ),
        ),
        lines(
            "Speed of the error budget",
            "How many times faster than allowed Levee itself fails calls, over three windows. 14.4 and 6 page.", "none",
            *(
                query(f'max(levee:calls_failed_by_levee:ratio_rate{window}{{job=~"$job"}}) / 0.0005', window)
                for window in ("5m", "1h", "6h")
            ),
            limits=[6, 14.4], alert="LeveeErrorBudgetBurn",
        ),
        lines(
            "Answers Levee made itself",
            "Refusals and failures by problem type; each is explained in docs/problems.md.", "reqps",
            query(f'sum by (problem) (rate(levee_problems_total{{job=~"$job", upstream=~"$upstream|"}}{RATE})) > 0', "{{problem}}"),
        ),
    ]


def hurting():
    """The upstreams, the worst first."""
    failed = 'outcome=~"upstream_error|failed|unavailable|fallback"'
    return [
        lines(
            "Share of calls an upstream did not answer well, the worst ten",
            "Its errors, its silence, its open circuit, and what fallbacks covered up. Levee informs its owner.",
            "percentunit",
            query(
                f"topk(10, sum by (upstream) (rate(levee_calls_total{{{OF}, {failed}}}{RATE}))"
                f" / sum by (upstream) (rate(levee_calls_total{{{OF}}}{RATE})) > 0)",
                "{{upstream}}",
            ),
            alert="LeveeUpstreamFailing",
        ),
        lines(
            "Time of an attempt, 99th percentile, the slowest ten", "One exchange with the upstream, to its headers.", "s",
            query(
                "topk(10, histogram_quantile(0.99, sum by (upstream, le) "
                f"(rate(levee_attempt_duration_seconds_bucket{{{OF}}}{RATE}))) > 0)",
                "{{upstream}}",
            ),
        ),
        table(
            "Breakers that are not closed", "State by upstream and operation, and how many replicas see it so. Empty is well.",
            "short", f'sum by (upstream, operation, state) (levee_breaker_state{{{OF}, state!="closed"}}) > 0',
            {"upstream": "Upstream", "operation": "Operation", "state": "State", "Value": "Replicas"}, alert="LeveeBreakerOpen",
        ),
        table(
            "Who calls", "The callers with the most calls, per second.", "reqps",
            f"topk(10, sum by (caller, upstream) (rate(levee_caller_calls_total{{{OF}}}{RATE})) > 0)",
            {"caller": "Caller", "upstream": "Upstream", "Value": "Calls"},
        ),
    ]


def doing():
    """Cache, fallbacks, retries."""
    return [
        lines(
            "Fallbacks", "Calls answered by a fallback, by step: a stale copy, another upstream, a fixed document.", "reqps",
            query(f"sum by (step) (rate(levee_fallbacks_total{{{OF}}}{RATE}))", "{{step}}"), width=8, stacked=True,
        ),
        lines(
            "Answers from memory", "Share of calls that the cache answered; stale copies apart from fresh ones.", "percentunit",
            query(
                f'sum(rate(levee_cache_requests_total{{{OF}, result=~"hit|negative|collapsed|revalidated"}}{RATE}))'
                f" / sum(rate(levee_calls_total{{{OF}}}{RATE}))",
                "fresh",
            ),
            query(
                f'sum(rate(levee_cache_requests_total{{{OF}, result="stale"}}{RATE})) / sum(rate(levee_calls_total{{{OF}}}{RATE}))',
                "stale",
            ),
            width=8,
        ),
        lines(
            "Retries", "Further attempts, by what was wrong with the one before.", "reqps",
            query(f"sum by (reason) (rate(levee_retries_total{{{OF}}}{RATE}))", "{{reason}}"), width=8, stacked=True,
            alert="LeveeAttemptsPerCallHigh",
        ),
    ]


def made():
    """The dashboard."""
    return dashboard(
        "levee-overview", "Levee: overview",
        "What callers notice, how much of the error budget is left, and which upstream hurts.", [JOB, UPSTREAM], rows(),
    )
