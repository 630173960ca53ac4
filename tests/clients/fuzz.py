"""Runs schemathesis against a live `levee dev`, over every operation of the committed document, signed in as an admin.

    fuzz.py LEVEE

LEVEE is the binary. What it may not do stands in tests/openapi/schemathesis_hooks.py.
"""

import os
import pathlib
import subprocess
import sys

import httpx
import service

ROOT = pathlib.Path(__file__).resolve().parents[2]
CONFIGURATION = ROOT / "tests" / "openapi" / "schemathesis.toml"
# Seconds: it ends by itself long before.
LONGEST = 600


def main():
    with service.running(sys.argv[1]) as levee:
        with httpx.Client(base_url=f"{levee.control}/api/v1") as client:
            credentials = {"email": levee.email, "password": levee.password}
            token = client.post("/auth/login", json=credentials).raise_for_status().json()["accessToken"]
            client.headers["Authorization"] = f"Bearer {token}"
            own = client.get("/auth/me").raise_for_status().json()["id"]
            # Something to find in every list.
            spec = {"url": levee.flaky}
            client.post("/upstreams", json={"name": "seed", "spec": spec}).raise_for_status()
            client.post("/service-accounts", json={"name": "seed", "class": "normal"}).raise_for_status()
        done = subprocess.run(
            ["schemathesis", "--config-file", CONFIGURATION, "run", ROOT / "openapi" / "levee.json", "--url", levee.control],
            env=os.environ | {"LEVEE_TOKEN": token, "LEVEE_OWN_USER": own, "PYTHONPATH": str(CONFIGURATION.parent)},
            timeout=LONGEST, stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise SystemExit(done.returncode)


main()
