"""Runtime and control plane: the replicas themselves."""

from source.grafana import JOB, dashboard, lines, number, query, states, table, variable

OF = 'job=~"$job", instance=~"$instance"'
RATE = "[$__rate_interval]"
INSTANCE = variable("instance", "Replica", "levee_build_info", 'job=~"$job"')


def rows():
    """Rows and their panels."""
    return [
        ("Replicas", replicas()),
        ("Process", process()),
        ("Traces", traces()),
        ("What is in force", published()),
        ("Database", database()),
        ("Kubernetes", kubernetes()),
        ("Issuers of tokens", issuers()),
        ("Control plane", control_plane()),
    ]


def replicas():
    """Which run, and how they are."""
    return [
        table(
            "Versions", "What runs where.", "short", f"count by (instance, version, revision) (levee_build_info{{{OF}}})",
            {"instance": "Replica", "version": "Version", "revision": "Revision", "Value": "Count"}, width=8,
        ),
        states(
            "Phase", "Starting, ready, draining, or away: not scraped.",
            query(
                f"2 * (levee_draining{{{OF}}} == 1)"
                f" or (levee_snapshot_applied_timestamp_seconds{{{OF}}} > bool 0)"
                f" or (up{{{OF}}} == 0) - 1",
                "{{instance}}",
            ),
            {-1: ("away", "red"), 0: ("starting", "orange"), 1: ("ready", "green"), 2: ("draining", "blue")},
            width=8, height=8, alert="LeveeDown",
        ),
        lines(
            "Silence of the main runtime", "It gives a sign of life each second; after 10 the replica is not live.", "s",
            query(f"levee_runtime_silence_seconds{{{OF}}}", "{{instance}}"), width=8, limits=[10], alert="LeveeStuck",
        ),
        number(
            "Replicas that know each other", "Live ones, by Redis; as seen by the replica that sees the fewest.", "short",
            query(f"min(levee_replicas{{{OF}}})"), width=6, height=8,
        ),
        number(
            "Youngest replica", "Time since its start.", "s",
            query(f"min(time() - process_start_time_seconds{{{OF}}})"), width=6, height=8,
        ),
        table(
            "How the process before ended", "`cut`: its drain overran. `killed`: it never came to an end. Known only with "
            "LEVEE_SNAPSHOT_DIR.", "short", f"count by (instance, how) (levee_previous_stop{{{OF}}} == 1)",
            {"instance": "Replica", "how": "How", "Value": "Count"}, width=6, alert="LeveeDrainOverran",
        ),
        lines(
            "Open connections", "Connections of callers, by port.", "short",
            query(f"sum by (listener) (levee_connections{{{OF}}})", "{{listener}}"), width=6,
        ),
    ]


def process():
    """What the operating system gives."""
    each = "{{instance}}"
    return [
        lines("CPU", "Cores in use.", "none", query(f"rate(process_cpu_seconds_total{{{OF}}}{RATE})", each), width=8),
        lines(
            "Memory", "Resident memory.", "bytes", query(f"process_resident_memory_bytes{{{OF}}}", each), width=8,
        ),
        lines(
            "File descriptors", "Share of those allowed that are open; every connection takes one.", "percentunit",
            query(f"process_open_fds{{{OF}}} / process_max_fds{{{OF}}}", each), width=8, limits=[0.8],
            alert="LeveeFileDescriptorsRunOut",
        ),
        lines(
            "Tasks", "Tasks alive on the main runtime.", "short", query(f"levee_tokio_alive_tasks{{{OF}}}", each), width=8,
        ),
        lines(
            "Tasks waiting for a worker", "In the main runtime's shared queue. Steadily above 0: too little CPU.", "short",
            query(f"levee_tokio_global_queue_depth{{{OF}}}", each), width=8,
        ),
        lines(
            "Threads", "Threads of the process, and those of them that work for the main runtime.", "short",
            query(f"process_threads{{{OF}}}", "{{instance}} all"), query(f"levee_tokio_workers{{{OF}}}", "{{instance}} workers"),
            width=8,
        ),
        lines(
            "Memory of the cache", "Held by cached answers, and the most they may hold.", "bytes",
            query(f"levee_cache_bytes{{{OF}}}", "{{instance}} held"),
            query(f"max(levee_cache_capacity_bytes{{{OF}}})", "limit"), width=8,
        ),
        lines(
            "Answers in the cache", "Cached answers and markers.", "short", query(f"levee_cache_entries{{{OF}}}", each), width=8,
        ),
        lines(
            "Pushed out of the cache", "Answers that made room for others. Much of this: the cache is too small.", "reqps",
            query(f"rate(levee_cache_evictions_total{{{OF}}}{RATE})", each), width=8,
        ),
    ]


def traces():
    """What goes to the collector."""
    return [
        lines(
            "Spans", "Taken by the collector, and dropped, by why.", "reqps",
            query(f"sum(rate(levee_spans_exported_total{{{OF}}}{RATE}))", "exported"),
            query(f"sum by (reason) (rate(levee_spans_dropped_total{{{OF}}}{RATE}))", "{{reason}}"), width=24,
            alert="LeveeSpansDropped",
        ),
    ]


def published():
    """Upstreams and where they come from."""
    return [
        lines(
            "Revision in force", "The database's revision that calls run under. Replicas should agree within seconds.", "none",
            query(f"levee_snapshot_revision{{{OF}}}", "{{instance}}"), width=8, zero=False, alert="LeveeReplicasDisagree",
        ),
        lines(
            "Age of what is in force", "Time since the set of upstreams last changed.", "s",
            query(f"time() - (levee_snapshot_applied_timestamp_seconds{{{OF}}} > 0)", "{{instance}}"), width=8,
        ),
        lines(
            "Upstream files",
            "Whether they are valid, versions that took effect and times they were found bad, in the chosen time.", "short",
            query(f"min(levee_upstream_files_valid{{{OF}}})", "valid"),
            query(f"sum(increase(levee_upstream_file_loads_total{{{OF}}}[$__range]))", "loaded"),
            query(f"sum(increase(levee_upstream_file_errors_total{{{OF}}}[$__range]))", "refused"), width=8,
            alert="LeveeUpstreamFilesRefused",
        ),
        number(
            "Upstreams", "Upstreams in force.", "short",
            query(f"count(count by (upstream) (levee_upstream_info{{{OF}}}))"), width=12,
        ),
        number(
            "Upstreams left out", "Upstreams of the API that calls cannot find, for what is wrong with them.", "short",
            query(f"max(levee_upstreams_left_out{{{OF}}})"), width=12, limits=[1], alert="LeveeUpstreamLeftOut",
        ),
    ]


def database():
    """What Levee stands on."""
    return [
        states(
            "Dependencies", "Whether each answers each replica. Calls go on without.",
            query(f"levee_dependency_up{{{OF}}}", "{{dependency}} {{instance}}"),
            {0: ("away", "red"), 1: ("up", "green")}, width=12, height=8, alert="LeveeDependencyDown",
        ),
        lines(
            "Connections of the pools", "In use and idle, and the most there may be, in all replicas.", "short",
            query(f"sum by (pool, state) (levee_pool_connections{{{OF}}})", "{{pool}} {{state}}"),
            alert="LeveeDatabasePoolSaturated",
        ),
    ]


def kubernetes():
    """The cluster that is watched, where one is."""
    return [
        states(
            "Leader", "Who writes status and Events of custom resources. Empty where no cluster is watched.",
            query(f"levee_leader{{{OF}}}", "{{instance}}"),
            {0: ("follows", "blue"), 1: ("leads", "green")}, width=12, height=8, alert="LeveeNoLeader",
        ),
        lines(
            "Silence of the watch", "Since the Kubernetes API last said anything to a replica, bookmarks included. Empty where "
            "no cluster is watched.", "s",
            query(f"time() - levee_kubernetes_watch_last_event_timestamp_seconds{{{OF}}}", "{{instance}}"),
            limits=[600], alert="LeveeWatchStale",
        ),
    ]


def issuers():
    """Whose tokens count beside our own; empty where there are none."""
    return [
        lines(
            "Keys", "Keys that an issuer's tokens are verified with.", "short",
            query(f"min by (issuer) (levee_issuer_keys{{{OF}}})", "{{issuer}}"), width=8, alert="LeveeIssuerKeysOld",
        ),
        lines(
            "Age of the keys", "Since they were fetched, in the replica where they are oldest.", "s",
            query(f"max by (issuer) (time() - (levee_issuer_keys_fetched_timestamp_seconds{{{OF}}} > 0))", "{{issuer}}"), width=8,
            limits=[3600], alert="LeveeIssuerKeysOld",
        ),
        lines(
            "Fetches of keys", "Times an issuer was asked for its keys, by how that ended.", "reqps",
            query(f"sum by (issuer, result) (rate(levee_issuer_fetches_total{{{OF}}}{RATE}))", "{{issuer}} {{result}}"), width=8,
        ),
    ]


def control_plane():
    """The API."""
    return [
        lines(
            "Requests by status", "Requests of the control plane.", "reqps",
            query(f"sum by (status) (rate(levee_http_requests_total{{{OF}}}{RATE}))", "{{status}}"), stacked=True, width=8,
            alert="LeveeControlPlaneFailing",
        ),
        lines(
            "Requests by route", "The ten busiest routes.", "reqps",
            query(f"topk(10, sum by (method, route) (rate(levee_http_requests_total{{{OF}}}{RATE})))", "{{method}} {{route}}"),
            width=8,
        ),
        lines(
            "Time of a request, 99th percentile", "The ten slowest routes. Signing in is slow on purpose.", "s",
            query(
                "topk(10, histogram_quantile(0.99, sum by (route, le) "
                f"(rate(levee_http_request_duration_seconds_bucket{{{OF}}}{RATE}))) > 0)",
                "{{route}}",
            ),
            width=8,
        ),
        lines(
            "Credentials refused", "Keys, tokens, logins and refreshes that did not count, by why; on both planes.", "reqps",
            query(f"sum by (reason) (rate(levee_auth_failures_total{{{OF}}}{RATE}))", "{{reason}}"), alert="LeveeLoginsFailing",
        ),
        lines(
            "Requests refused by a limit", "By the limit that was reached.", "reqps",
            query(f"sum by (scope) (rate(levee_rate_limited_total{{{OF}}}{RATE}))", "{{scope}}"),
        ),
    ]


def made():
    """The dashboard."""
    return dashboard(
        "levee-runtime", "Levee: runtime and control plane",
        "The replicas: their process, what is in force, the database, the API.", [JOB, INSTANCE], rows(),
    )
