"""An upgrade and a rollback between any two sets of values change nothing that Kubernetes holds immutable."""

import itertools
import shutil

import pytest

import chart
from chart import CASES, EXAMPLES

# What one release may be moved between: each changes as much as a release of its kind can.
SQLITE = {"sqlite": CASES["sqlite"], "trial": EXAMPLES["trial"]}
POSTGRES = {name: CASES[name] for name in ("postgres", "autoscaled", "restricted-network")} | {"production": EXAMPLES["production"]}
MOVES = [*itertools.permutations(SQLITE.values(), 2), *itertools.permutations(POSTGRES.values(), 2)]


def immutable(document):
    """What the API server refuses to change, by kind; hooks are deleted before they are made anew."""
    spec, kind = document.get("spec", {}), document["kind"]
    if "helm.sh/hook" in document["metadata"].get("annotations", {}):
        return None
    if kind == "Deployment":
        return spec["selector"]
    if kind == "PersistentVolumeClaim":
        return [spec["accessModes"]]
    if kind == "Job":
        return spec
    return None


def held(rendered):
    """Every object's immutable part, by its name."""
    return {chart.label(document): immutable(document) for document in rendered}


@pytest.mark.parametrize("before, after", MOVES, ids=lambda file: file.stem)
def test_moving_a_release_between_values_changes_nothing_immutable(before, after):
    old, new = held(chart.objects(before)), held(chart.objects(after))
    assert {name: old[name] for name in old.keys() & new.keys()} == {name: new[name] for name in old.keys() & new.keys()}
    assert {"Deployment/levee", "Service/levee", "ConfigMap/levee"} <= old.keys() & new.keys()


@pytest.fixture
def next_version(tmp_path):
    """This chart, as its next version would be released."""
    folder = tmp_path / "levee"
    shutil.copytree(chart.CHART, folder)
    described = folder / "Chart.yaml"
    described.write_text(described.read_text().replace("version: 0.1.0", "version: 0.2.0").replace('appVersion: "0.1.0"', 'appVersion: "0.2.0"'))
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_new_version_of_chart_and_program_changes_labels_and_images_only(case, next_version):
    old, new = chart.objects(CASES[case]), chart.objects(CASES[case], chart=next_version)
    assert held(old) == held(new)
    text = chart.yaml.safe_dump_all(new)
    assert "0.2.0" in text
    for word in ("levee-", "levee:", '"', "'", " "):
        text = text.replace(f"{word}0.2.0", f"{word}0.1.0")
    assert list(chart.yaml.safe_load_all(text)) == old


def test_the_claim_of_an_uninstalled_release_is_kept_unless_told_otherwise():
    for keep, policy in (("true", "keep"), ("false", None)):
        claim = chart.the(chart.objects(CASES["sqlite"], "--set", f"sqlite.keep={keep}"), "PersistentVolumeClaim")
        assert claim["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == policy
