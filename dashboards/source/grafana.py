"""The few shapes of Grafana's dashboard model that our dashboards are made of.

A dashboard is a list of rows, a row a title and its panels. Panels are laid out from left to right on Grafana's grid of
24 columns, in lines of the height of the tallest.
"""

SCHEMA = 39
WIDTH = 24
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
RUNBOOKS = "https://levee.dev/runbooks/"


def dashboard(uid, title, description, variables, rows, refresh="30s"):
    """A whole dashboard; links lead to the others."""
    return {
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["levee"],
        "schemaVersion": SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": refresh,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "links": [
            {
                "title": "Levee", "type": "dashboards", "tags": ["levee"], "asDropdown": True,
                "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link",
                "tooltip": "The other dashboards of Levee",
            },
            {
                "title": "Runbooks", "type": "link", "url": RUNBOOKS, "targetBlank": True, "icon": "doc",
                "tooltip": "What to do about an alert",
            },
        ],
        "templating": {"list": [data_source(), *variables]},
        "annotations": {"list": [restarts()]},
        "panels": list(laid_out(rows)),
    }


def data_source():
    """The Prometheus that is asked, to be chosen where there are several."""
    return {
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "description": "The Prometheus that scrapes Levee",
    }


def restarts():
    """A mark where a replica started."""
    return {
        "name": "Starts", "datasource": SOURCE, "enable": True, "iconColor": "blue",
        "expr": 'changes(process_start_time_seconds{job=~"$job"}[2m]) > 0',
        "titleFormat": "{{instance}} started",
    }


def variable(name, label, metric, selector="", *, several=True):
    """A choice of the values that a label has on a metric."""
    of = f"{metric}{{{selector}}}" if selector else metric
    chosen = {
        "name": name, "label": label, "type": "query", "datasource": SOURCE, "refresh": 2, "sort": 1,
        "query": {"query": f"label_values({of}, {name})", "refId": name},
        "definition": f"label_values({of}, {name})",
    }
    if several:
        chosen |= {"multi": True, "includeAll": True, "current": {"text": ["All"], "value": ["$__all"]}}
    return chosen


JOB = variable("job", "Job", "levee_build_info")


def laid_out(rows):
    """Panels with their places and numbers."""
    number, top = 1, 0
    for title, panels in rows:
        yield {
            "id": number, "type": "row", "title": title, "collapsed": False, "panels": [],
            "gridPos": {"x": 0, "y": top, "w": WIDTH, "h": 1},
        }
        number, top, left, height = number + 1, top + 1, 0, 0
        for panel in panels:
            width, tall = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if left + width > WIDTH:
                left, top, height = 0, top + height, 0
            yield {"id": number, **panel, "gridPos": {"x": left, "y": top, "w": width, "h": tall}}
            number, left, height = number + 1, left + width, max(height, tall)
        top += height


def query(expression, legend="", *, instant=False):
    """One line of PromQL, and what its series are called."""
    return {"expr": expression, "legend": legend, "instant": instant}


def panel(kind, title, description, unit, queries, *, width, height=8, options=None, field=None, alert=None):
    """Any panel. `alert` names the runbook it belongs to."""
    targets = []
    for letter, asked in zip("ABCDEFGH", queries):
        target = {
            "refId": letter, "datasource": SOURCE, "expr": asked["expr"],
            "legendFormat": asked["legend"] or "__auto",
        }
        if asked["instant"]:
            target |= {"instant": True, "range": False}
            if kind == "table":
                target["format"] = "table"
        targets.append(target)
    made = {
        "type": kind, "title": title, "description": description, "datasource": SOURCE,
        "gridPos": {"w": width, "h": height}, "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, **(field or {})}, "overrides": []},
        "options": options or {},
    }
    if alert:
        made["links"] = [{"title": f"Runbook {alert}", "url": f"{RUNBOOKS}{alert}", "targetBlank": True}]
    return made


def lines(title, description, unit, *queries, width=12, stacked=False, limits=None, alert=None, zero=True):
    """Lines over time. `limits` are drawn across, the first in amber, the last in red."""
    custom = {"lineWidth": 1, "fillOpacity": 30 if stacked else 8, "showPoints": "never", "spanNulls": True}
    if stacked:
        custom["stacking"] = {"mode": "normal", "group": "A"}
    field = {"custom": custom}
    if zero:
        field["min"] = 0
    if limits:
        custom["thresholdsStyle"] = {"mode": "line"}
        field["thresholds"] = steps(limits)
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"], "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel("timeseries", title, description, unit, queries, width=width, options=options, field=field, alert=alert)


def number(title, description, unit, asked, *, width=4, height=4, limits=None, rising_is_bad=True, decimals=None, mappings=None, alert=None):
    """One number now, coloured by its limits."""
    field = {"thresholds": steps(limits, rising_is_bad=rising_is_bad)}
    if decimals is not None:
        field["decimals"] = decimals
    if mappings:
        field["mappings"] = [{"type": "value", "options": mappings}]
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value", "graphMode": "area", "textMode": "auto", "justifyMode": "auto",
    }
    return panel("stat", title, description, unit, [asked], width=width, height=height, options=options, field=field, alert=alert)


def table(title, description, unit, asked, columns, *, width=12, height=8, alert=None):
    """Rows of now: `columns` are the labels that are shown, with their headings, before the value."""
    value = columns.pop("Value")
    made = panel("table", title, description, unit, [query(asked, instant=True)], width=width, height=height, alert=alert, options={
        "showHeader": True, "sortBy": [{"displayName": value, "desc": True}],
    })
    wanted = [*columns, "Value"]
    made["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": wanted}}},
        {"id": "organize", "options": {
            "indexByName": {name: place for place, name in enumerate(wanted)},
            "renameByName": {**columns, "Value": value},
        }},
    ]
    return made


def states(title, description, asked, colours, *, width=24, height=6, alert=None):
    """A band for each series, coloured by its value: `colours` has a text and a colour for each."""
    options = {str(value): {"text": text, "color": colour, "index": value} for value, (text, colour) in colours.items()}
    return panel(
        "state-timeline", title, description, "none", [asked], width=width, height=height, alert=alert,
        options={"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom"}},
        field={"mappings": [{"type": "value", "options": options}], "custom": {"fillOpacity": 80, "lineWidth": 0}},
    )


def steps(limits, *, rising_is_bad=True):
    """Green, then amber and red beyond the limits; the other way round where little is bad."""
    if not limits:
        return {"mode": "absolute", "steps": [{"color": "green", "value": None}]}
    colours = ["orange", "red"][-len(limits):]
    if rising_is_bad:
        marks = [{"color": "green", "value": None}] + [{"color": colour, "value": at} for colour, at in zip(colours, limits)]
    else:
        falling = list(zip([*colours[::-1], "green"], [None, *limits]))
        marks = [{"color": colour, "value": at} for colour, at in falling]
    return {"mode": "absolute", "steps": marks}
