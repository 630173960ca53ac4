"""How the chart's checks render it, and what they look for in what was rendered."""

import functools
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "helm" / "levee"
TOOLS = Path(os.environ["LEVEE_CHART_TOOLS"]).resolve()
LEVEE = Path(os.environ["LEVEE_BIN"]).resolve()
HELM, HELM3, KUBECTL = (TOOLS / "bin" / name for name in ("helm", "helm3", "kubectl"))
GOLDEN = Path(__file__).parent / "golden"
# The Kubernetes that Chart.yaml allows and that have schemas here.
VERSIONS = ("1.33", "1.34", "1.35", "1.36", "1.37")
# Kinds of others that the chart can make.
OTHERS = ("monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1")
CASES = {file.stem: file for file in sorted(CHART.glob("ci/*.yaml"))}
EXAMPLES = {file.stem: file for file in sorted(CHART.glob("examples/*.yaml"))}


class Refused(Exception):
    """Helm would not render; the message is what it says."""


@functools.cache
def render(values, *more, kube=VERSIONS[-1], apis=OTHERS, helm=HELM, chart=CHART):
    """The objects as text. `values` are files, parted by a comma."""
    command = [helm, "template", "levee", chart, "--namespace", "levee", "--kube-version", kube]
    command += [word for api in apis for word in ("--api-versions", api)]
    command += ["--values", values] if values else []
    done = subprocess.run([*map(str, command), *more], capture_output=True, text=True, timeout=60)
    if done.returncode != 0:
        raise Refused(done.stderr)
    return done.stdout


def documents(text):
    """The objects of a rendering."""
    return [document for document in yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) if document]


def objects(values, *more, **how):
    """Renders and reads."""
    return documents(render(values, *more, **how))


def together(function, tasks):
    """What `function` answers to each of the tasks; two at a time."""
    with ThreadPoolExecutor(max_workers=max(2, os.cpu_count() or 2)) as pool:
        return list(pool.map(lambda task: function(*task), tasks))


def of_kind(rendered, kind):
    """The objects of one kind."""
    return [document for document in rendered if document["kind"] == kind]


def the(rendered, kind, suffix=""):
    """The one object of its kind whose name ends like this."""
    found = [document for document in of_kind(rendered, kind) if document["metadata"]["name"].endswith(suffix)]
    assert len(found) == 1, f"{len(found)} objects of kind {kind}"
    return found[0]


def pods(rendered):
    """Name, labels and spec of every pod that the objects make."""
    for document in rendered:
        if document["kind"] == "Pod":
            yield label(document), document["metadata"]["labels"], document["spec"]
        elif document["kind"] in ("Deployment", "Job"):
            template = document["spec"]["template"]
            yield label(document), template["metadata"]["labels"], template["spec"]


def containers(spec):
    """Every container of a pod."""
    return [*spec.get("initContainers", []), *spec["containers"]]


def label(document):
    """Kind and name."""
    return f"{document['kind']}/{document['metadata']['name']}"
