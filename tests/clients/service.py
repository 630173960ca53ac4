"""A `levee dev` of its own, on free ports and in a folder that is thrown away."""

import contextlib
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading

STARTS_WITHIN = 60
STOPS_WITHIN = 30
TOUR = {
    "calls": re.compile(r"calls +(http://\S+?)/proxy/"),
    "control": re.compile(r"control +(http://\S+?)/api/v1/"),
    "flaky": re.compile(r"flaky +(http://\S+?)/_flaky"),
}


class Service:
    """Where a running Levee is, and how to sign in to it."""

    email = "admin@localhost"

    def __init__(self, folder, tour):
        self.calls, self.control, self.flaky = tour["calls"], tour["control"], tour["flaky"]
        self.password = (folder / ".levee" / "admin-password").read_text().strip()


@contextlib.contextmanager
def running(binary):
    """Starts Levee, yields a `Service`, and stops it. Its log is shown when the block fails."""
    with tempfile.TemporaryDirectory(prefix="levee-") as folder:
        folder = pathlib.Path(folder)
        log = folder / "log"
        own = {name: value for name, value in os.environ.items() if not name.startswith("LEVEE_")}
        anywhere = ["--listen", "127.0.0.1:0", "--ops-listen", "127.0.0.1:0", "--flaky-listen", "127.0.0.1:0"]
        with log.open("wb") as stderr:
            process = subprocess.Popen(
                [os.path.abspath(binary), "dev", *anywhere],
                cwd=folder, env=own, stdout=subprocess.PIPE, stderr=stderr, text=True,
            )
        try:
            yield Service(folder, read_tour(process))
            stop(process)
        except BaseException:
            print("the log of levee dev:", log.read_text()[-20000:], sep="\n", file=sys.stderr)
            raise
        finally:
            process.kill()
            process.wait()


def read_tour(process):
    """The addresses that are printed once all is ready."""
    watchdog = threading.Timer(STARTS_WITHIN, process.kill)
    watchdog.start()
    found, text = {}, ""
    for line in process.stdout:
        text += line
        found |= {name: match[1] for name, pattern in TOUR.items() if (match := pattern.search(line))}
        if len(found) == len(TOUR):
            break
    watchdog.cancel()
    if len(found) < len(TOUR):
        raise SystemExit(f"levee dev does not say where it is:\n{text}")
    # What is printed later must not fill the pipe.
    threading.Thread(target=process.stdout.read, daemon=True).start()
    return found


def stop(process):
    """As an operator would; it has to end by itself, and well."""
    process.send_signal(signal.SIGTERM)
    if (code := process.wait(STOPS_WITHIN)) != 0:
        raise SystemExit(f"levee dev ended with {code}")
