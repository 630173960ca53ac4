"""Other people's scanners, each finding that is let pass with its reason."""

import json
import subprocess
import sys
from pathlib import Path

import chart
from chart import CASES, ROOT, TOOLS

# checkov's findings that are meant to be.
LET_PASS = {
    "CKV_K8S_11": "no CPU limit: it would throttle calls in bursts; the request is what the scheduler and the autoscaler need",
    "CKV_K8S_43": "a digest is the user's choice (image.digest); the chart cannot know one",
    "CKV_K8S_15": "IfNotPresent is right for tags that do not move; Always is the user's choice (image.pullPolicy)",
    "CKV_K8S_8": "a migration and a test run to their ends: there is nothing to probe",
    "CKV_K8S_9": "a migration and a test run to their ends: there is nothing to probe",
    "CKV_K8S_40": "the user number is the user's choice (podSecurity.runAsUser), and null on OpenShift; the default is above 10000",
    "CKV2_K8S_5": "list and watch of Secrets, in named namespaces only, asked for by name: an Upstream names them, so that no list of names can be given beforehand",
    "CKV_K8S_35": "headers for the collector of traces: OpenTelemetry reads them from a variable only",
    "CKV2_K8S_6": "a NetworkPolicy is the user's choice (networkPolicy.enabled); pods that migrate and test live for seconds and serve nobody",
}
SCRIPTS = [".ci/run", "tests/setup.sh", "tests/with-servers.sh", "tests/openapi/check.sh"]


def test_checkov_finds_nothing_that_is_not_meant(tmp_path):
    for case, values in CASES.items():
        (tmp_path / f"{case}.yaml").write_text(chart.render(values))
    done = subprocess.run(
        [TOOLS / "checkov" / "bin" / "checkov", "--directory", tmp_path, "--framework", "kubernetes", "--output", "json", "--compact", "--quiet", "--skip-download"],
        capture_output=True, text=True, timeout=240, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LOG_LEVEL": "ERROR"},
    )
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > 200, report["summary"]
    found = {}
    for failed in report["results"]["failed_checks"]:
        found.setdefault(failed["check_id"], f"{failed['check_name']}: {failed['file_path']} {failed['resource']}")
    assert {check: text for check, text in found.items() if check not in LET_PASS} == {}
    assert set(LET_PASS) - set(found) == set(), "let pass, but not found"


def test_hadolint_finds_nothing_in_the_dockerfile():
    linter = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_shellcheck_finds_nothing_in_the_scripts_of_the_tests():
    linter = Path(sys.executable).parent / "shellcheck"
    done = subprocess.run([linter, *SCRIPTS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
