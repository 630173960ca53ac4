"""Fleet and cache: what replicas share, and how it goes while they cannot."""

from source.grafana import JOB, dashboard, lines, number, query, states, variable

OF = 'job=~"$job", instance=~"$instance"'
RATE = "[$__rate_interval]"
INSTANCE = variable("instance", "Replica", "levee_build_info", 'job=~"$job"')


def rows():
    """Rows and their panels."""
    return [
        ("Replicas and Redis", shared()),
        ("Breakers, replica by replica", breakers()),
        ("Cache", cache()),
        ("Purges", purges()),
        ("Quotas", quotas()),
        ("Limits of the control plane", limits()),
    ]


def shared():
    """Who lives, and whether Redis answers them; without Redis only replicas that are scraped show."""
    return [
        lines(
            "Replicas", "Those that are scraped, and those that know each other by Redis, as the replica sees it that sees the "
            "fewest. Apart for long: a replica does not reach Redis.", "short",
            query(f"sum(up{{{OF}}})", "scraped"), query(f"min(levee_replicas{{{OF}}})", "know each other"), width=8,
        ),
        states(
            "Redis", "As each replica finds it. `not asked`: the breaker in front of it is open. Calls go on without.",
            query(
                f'sum by (instance) (levee_dependency_up{{{OF}, dependency="redis"}})'
                f" - sum by (instance) (levee_redis_breaker_open{{{OF}}})",
                "{{instance}}",
            ),
            {-1: ("not asked", "orange"), 0: ("away", "red"), 1: ("up", "green")}, width=8, height=8, alert="LeveeDependencyDown",
        ),
        number(
            "Questions without an answer", "Share of the questions to Redis, those that were not asked included.", "percentunit",
            query(
                f'sum(rate(levee_redis_questions_total{{{OF}, result!="answered"}}{RATE}))'
                f" / sum(rate(levee_redis_questions_total{{{OF}}}{RATE}))",
            ),
            width=8, height=8, limits=[0.01, 0.2],
        ),
        lines(
            "Questions to Redis", "By how they ended. `slow`: not within what a call can wait. `not_asked`: no connection, or the "
            "breaker was open.", "reqps",
            query(f"sum by (result) (rate(levee_redis_questions_total{{{OF}}}{RATE}))", "{{result}}"),
        ),
        lines(
            "Time of an answer of Redis", "Of those that came. A call waits at most 10 ms.", "s",
            query(
                f"histogram_quantile(0.5, sum by (le) (rate(levee_redis_question_duration_seconds_bucket{{{OF}}}{RATE})))", "median",
            ),
            query(
                f"histogram_quantile(0.99, sum by (le) (rate(levee_redis_question_duration_seconds_bucket{{{OF}}}{RATE})))",
                "99th percentile",
            ),
            limits=[0.01],
        ),
    ]


def breakers():
    """Where replicas see an upstream differently."""
    return [
        lines(
            "Replicas with an open breaker", "By upstream and operation; half open and forced open count too. Some and not all: the "
            "trouble is between that replica and the upstream.", "short",
            query(
                f'count by (upstream, operation) (levee_breaker_state{{{OF}, state=~"open|half_open|forced_open"}} == 1)',
                "{{upstream}} {{operation}}",
            ),
            width=24, alert="LeveeBreakerOpen",
        ),
    ]


def cache():
    """Both levels."""
    return [
        lines(
            "What the cache did", "All upstreams together.", "reqps",
            query(f"sum by (result) (rate(levee_cache_requests_total{{{OF}}}{RATE}))", "{{result}}"), stacked=True,
        ),
        lines(
            "Looks into Redis", "By calls that memory could not answer. `outdated`: it lost a race with a purge. `skipped`: Redis is "
            "away, or the replica is not in step.", "reqps",
            query(f"sum by (result) (rate(levee_cache_fleet_looks_total{{{OF}}}{RATE}))", "{{result}}"), stacked=True,
        ),
        number(
            "Answered by the second level", "Share of the looks into Redis that found an answer of use.", "percentunit",
            query(
                f'sum(rate(levee_cache_fleet_looks_total{{{OF}, result=~"hit|stale"}}{RATE}))'
                f" / sum(rate(levee_cache_fleet_looks_total{{{OF}}}{RATE}))",
            ),
            width=6, height=8,
        ),
        lines(
            "Writes to Redis", "Answers for the other replicas. `dropped`: the queue was full, or the replica not in step.", "reqps",
            query(f"sum by (result) (rate(levee_cache_fleet_writes_total{{{OF}}}{RATE}))", "{{result}}"), width=9,
        ),
        lines(
            "Rights to fetch", "Asked for before an answer is fetched or refreshed. `elsewhere`: another replica is at it. "
            "`unknown`: Redis could not say, so this one fetches.", "reqps",
            query(f"sum by (result) (rate(levee_cache_leases_total{{{OF}}}{RATE}))", "{{result}}"), width=9,
        ),
    ]


def purges():
    """The log of purges, which every replica reads; empty without Redis but for the first."""
    return [
        lines(
            "Purges made", "By operators, and by the answers to unsafe requests (`path`).", "reqps",
            query(f"sum by (scope) (rate(levee_cache_purges_total{{{OF}}}{RATE}))", "{{scope}}"), width=8,
        ),
        lines(
            "Purges in the log", "Those that replicas read in it, their own included.", "reqps",
            query(f"sum by (instance) (rate(levee_cache_log_applied_total{{{OF}}}{RATE}))", "{{instance}}"), width=8,
        ),
        lines(
            "Purges that wait", "They count at the replica that made them. The others do not know them yet.", "short",
            query(f"levee_cache_log_outbox{{{OF}}}", "{{instance}}"), width=8, alert="LeveePurgesWaiting",
        ),
        lines(
            "Lateness of purges", "How late the last one was applied.", "s",
            query(f"levee_cache_log_lag_seconds{{{OF}}}", "{{instance}}"), width=8,
        ),
        lines(
            "Silence of the log", "Since everything in it was last known to be applied. After 30 s the replica is blind.", "s",
            query(f"levee_cache_log_silent_seconds{{{OF}}}", "{{instance}}"), width=8, limits=[30],
        ),
        lines(
            "Out of step", "Replicas that are blind, and times that all a replica held became stale, in the chosen time.", "short",
            query(f"sum(levee_cache_log_blind{{{OF}}})", "blind"),
            query(f"sum(increase(levee_cache_log_lost_track_total{{{OF}}}[$__range]))", "lost track"), width=8,
        ),
    ]


def quotas():
    """Of all upstreams that have one; one upstream's are on its dashboard."""
    return [
        lines(
            "Attempts that asked a quota", "All upstreams together. `waited`: in line. `refused`: there was no token in time.", "reqps",
            query(f"sum by (result) (rate(levee_quota_takes_total{{{OF}}}{RATE}))", "{{result}}"), width=8, stacked=True,
        ),
        lines(
            "Attempts refused by a quota", "By upstream, the ten with the most.", "reqps",
            query(f'topk(10, sum by (upstream) (rate(levee_quota_takes_total{{{OF}, result="refused"}}{RATE})) > 0)', "{{upstream}}"),
            width=8, alert="LeveeQuotaExhausted",
        ),
        lines(
            "Attempts in line for a token", "By upstream, in all replicas; the ten longest lines.", "short",
            query(f"topk(10, sum by (upstream) (levee_quota_waiting{{{OF}}}))", "{{upstream}}"), width=8,
        ),
        lines(
            "Questions to Redis for tokens", "`given`, `none` to be had, `lost` (no answer); `late`: not waited for to the end.", "reqps",
            query(f"sum by (result) (rate(levee_quota_asks_total{{{OF}}}{RATE}))", "{{result}}"), width=8,
        ),
        lines(
            "Quotas that go without Redis", "By upstream, in how many replicas; what they do instead stands in `onStoreLoss`.", "short",
            query(f"sum by (upstream) (levee_quota_degraded{{{OF}}})", "{{upstream}}"), width=8, alert="LeveeQuotaDegraded",
        ),
        lines(
            "Pauses that upstreams asked for", "What is left of them.", "s",
            query(f"max by (upstream) (levee_quota_pause_seconds{{{OF}}})", "{{upstream}}"), width=8,
        ),
    ]


def limits():
    """Shared by replicas through Redis; while it is away each goes by what it counted itself."""
    return [
        lines(
            "Requests refused by a limit", "By the limit that was reached.", "reqps",
            query(f"sum by (scope) (rate(levee_rate_limited_total{{{OF}}}{RATE}))", "{{scope}}"),
        ),
        lines(
            "Requests refused, replica by replica", "Evenly, where a balancer spreads them and Redis answers.", "reqps",
            query(f"sum by (instance) (rate(levee_rate_limited_total{{{OF}}}{RATE}))", "{{instance}}"),
        ),
    ]


def made():
    """The dashboard."""
    return dashboard(
        "levee-fleet", "Levee: fleet and cache",
        "What replicas share through Redis: cached answers, purges, quotas, limits.", [JOB, INSTANCE], rows(),
    )
