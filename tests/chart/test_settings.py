"""The chart and the program name the same settings, and the program accepts what the chart writes."""

import re
import subprocess

import pytest
import yaml

import chart
from chart import CASES, EXAMPLES, LEVEE

ALL = CASES | EXAMPLES


def settings_of_the_chart():
    """`_settings.tpl`: each setting, and the value that sets it."""
    text = (chart.CHART / "templates" / "_settings.tpl").read_text()
    return dict(re.findall(r"^([A-Z_]+): ([A-Za-z.]+)$", text, re.M))


def settings_of_the_program():
    """The variables in its help, without the forms that name a file."""
    shown = subprocess.run([LEVEE, "serve", "--help"], capture_output=True, text=True, check=True).stdout
    return {name.removesuffix("_FILE") for name in re.findall(r"\bLEVEE_[A-Z_]+", shown)}


def test_every_setting_of_the_program_has_a_value_of_the_chart():
    ours = {name for name in settings_of_the_chart() if name.startswith("LEVEE_")}
    assert ours == settings_of_the_program()


def test_the_variables_of_traces_are_those_the_pages_name():
    page = (chart.ROOT / "docs" / "operations.md").read_text()
    for name in settings_of_the_chart():
        assert name.startswith("LEVEE_") or f"`{name}`" in page, name


def test_every_setting_is_set_by_a_value_there_is():
    defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    for path in settings_of_the_chart().values():
        inside = defaults
        for part in path.split("."):
            inside = inside[part]


def configuration(rendered):
    """levee.yaml, as the pods mount it."""
    return next(document["data"]["levee.yaml"] for document in chart.of_kind(rendered, "ConfigMap") if "levee.yaml" in document["data"])


@pytest.mark.parametrize("case", ALL)
def test_the_program_accepts_the_configuration_and_the_upstreams(case, tmp_path):
    rendered = chart.objects(ALL[case])
    settings = tmp_path / "levee.yaml"
    settings.write_text(configuration(rendered))
    command = [LEVEE, "check", "--config", settings]
    for document in chart.of_kind(rendered, "ConfigMap"):
        if document["metadata"]["name"].endswith("-upstreams"):
            folder = tmp_path / "upstreams"
            folder.mkdir()
            for name, text in document["data"].items():
                (folder / name).write_text(text)
            command.append(folder)
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_ports_of_the_container_are_those_in_the_configuration():
    for case in ("postgres", "everything"):
        rendered = chart.objects(CASES[case])
        written = yaml.safe_load(configuration(rendered))
        ports = {port["name"]: port["containerPort"] for port in chart.the(rendered, "Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]}
        for name, setting in {"calls": "listen", "api": "apiListen", "ops": "opsListen"}.items():
            assert written[setting].endswith(f":{ports[name]}")


def test_the_chart_is_of_this_version():
    manifest = (chart.ROOT / "Cargo.toml").read_text()
    described = yaml.safe_load((chart.CHART / "Chart.yaml").read_text())
    assert f'\nversion = "{described["appVersion"]}"\n' in manifest


def test_the_image_runs_as_whom_the_chart_says_and_has_the_ports():
    image = (chart.ROOT / "Dockerfile").read_text()
    defaults = yaml.safe_load((chart.CHART / "values.yaml").read_text())
    user = defaults["podSecurity"]["runAsUser"]
    assert f"USER {user}:{defaults['podSecurity']['runAsGroup']}\n" in image
    assert "EXPOSE {calls} {api} {ops}\n".format(**defaults["listen"]) in image
    assert 'ENTRYPOINT ["/usr/local/bin/levee"]' in image
