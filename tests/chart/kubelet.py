"""Runs, on this machine, what a rendered pod describes: its volumes as folders, its containers as processes.

Paths of mounts are replaced by folders in arguments, variables and ConfigMaps; variables put the listeners on loopback.
"""

import base64
import re
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

import chart


def free_port():
    """A port of loopback that nobody had a moment ago."""
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


class Pod:
    """A pod of the rendered objects, with the Secrets that the cluster would hold."""

    def __init__(self, folder, rendered, spec, secrets, more=None, addresses=None):
        """`more` are variables of the first container; `addresses` say where the cluster's Services are found."""
        self.more, self.addresses = more or {}, addresses or {}
        self.folder, self.spec, self.secrets = Path(folder), spec, dict(secrets)
        self.maps = {document["metadata"]["name"]: document["data"] for document in chart.of_kind(rendered, "ConfigMap")}
        for document in chart.of_kind(rendered, "Secret"):
            data = {key: base64.b64decode(text).decode() for key, text in (document.get("data") or {}).items()}
            self.secrets[document["metadata"]["name"]] = data | (document.get("stringData") or {})
        self.ports = {port["name"]: free_port() for port in spec["containers"][0].get("ports", [])}
        self.volumes = {volume["name"]: self.make(volume) for volume in spec.get("volumes", [])}
        self.process = None

    def make(self, volume):
        """The volume as a folder."""
        folder = self.folder / volume["name"]
        folder.mkdir(exist_ok=True)
        for source in volume.get("projected", {}).get("sources", []):
            for item in source.get("secret", {}).get("items", []):
                file = folder / item["path"]
                file.write_text(self.secrets[source["secret"]["name"]][item["key"]])
                file.chmod(0o440)
        if "configMap" in volume:
            self.swap(folder, self.maps[volume["configMap"]["name"]])
        return folder

    def swap(self, folder, data):
        """Puts files into a volume as the kubelet does: a new folder, then one rename of the link that all go through."""
        hidden = folder / f"..{time.monotonic_ns()}"
        hidden.mkdir()
        for name, text in data.items():
            (hidden / name).write_text(self.here(text))
            if not (folder / name).is_symlink():
                (folder / name).symlink_to(f"..data/{name}")
        (folder / "..new").symlink_to(hidden.name)
        (folder / "..new").rename(folder / "..data")
        for link in folder.iterdir():
            if not link.name.startswith("..") and link.name not in data:
                link.unlink()

    def here(self, text):
        """The text with the container's paths and the cluster's addresses replaced by this machine's."""
        for service, address in self.addresses.items():
            text = text.replace(f"http://{service}/", f"http://{address}/")
        for mount in self.spec["containers"][0].get("volumeMounts", []):
            text = text.replace(mount["mountPath"], str(self.folder / mount["name"]))
        return text

    def command(self, container):
        """Arguments and variables of one of its containers."""
        variables = {}
        for entry in container.get("env", []):
            if "value" in entry:
                told = re.sub(r"\$\((\w+)\)", lambda match: variables.get(match[1], match[0]), entry["value"])
                variables[entry["name"]] = self.here(told)
            elif entry["valueFrom"].get("fieldRef", {}).get("fieldPath", "").startswith("metadata.name"):
                variables[entry["name"]] = "levee"
        listeners = {"calls": "LEVEE_LISTEN", "api": "LEVEE_API_LISTEN", "ops": "LEVEE_OPS_LISTEN"}
        if container is self.spec["containers"][0]:
            variables |= {listeners[name]: f"127.0.0.1:{port}" for name, port in self.ports.items()}
            variables |= self.more
        arguments = [self.here(word) for word in container["args"]]
        return [str(chart.LEVEE), *arguments], variables

    def run(self, container):
        """Runs a container to its end."""
        command, variables = self.command(container)
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=60)

    def start(self):
        """Runs the init containers to their ends, then starts the first container."""
        for container in self.spec.get("initContainers", []):
            done = self.run(container)
            assert done.returncode == 0, done.stdout + done.stderr
        command, variables = self.command(self.spec["containers"][0])
        self.log = open(self.folder / "log", "w+")
        self.process = subprocess.Popen(command, env=variables, stderr=self.log, stdout=self.log)

    def ask(self, port, path, body=None, **headers):
        """Status and text of an answer; 0 when nobody listens yet."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.ports[port]}{path}", data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except (urllib.error.URLError, ConnectionError):
            return 0, ""

    def probe(self, name):
        """What the kubelet's probe of that name would be told."""
        asked = self.spec["containers"][0][f"{name}Probe"]["httpGet"]
        return self.ask(asked["port"], asked["path"])[0]

    def stop(self):
        """SIGTERM, as after the preStop sleep; the exit code, which must come within the grace period."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(self.spec["terminationGracePeriodSeconds"])
        finally:
            self.process.kill()
            self.log.close()

    def told(self):
        """The log so far."""
        return (self.folder / "log").read_text()


def until(condition, what, seconds=20):
    """Waits for a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {seconds} s")
