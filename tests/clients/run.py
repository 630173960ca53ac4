"""Makes clients of the committed OpenAPI document with other people's generators, and runs each through one scenario
against a live `levee dev`. The scenario is told in the README beside this file.

    run.py LEVEE [LANGUAGE...]

LEVEE is the binary. Generated code goes to a folder that may be kept between runs, LEVEE_CLIENTS_DIR.
"""

import filecmp
import os
import pathlib
import shutil
import subprocess
import sys
import time

import service

HERE = pathlib.Path(__file__).resolve().parent
DOCUMENT = HERE.parent.parent / "openapi" / "levee.json"
MADE = pathlib.Path(os.environ["LEVEE_CLIENTS_DIR"]).resolve()
LONGEST = 600


def run(*command, folder=HERE, **variables):
    """Runs to its end; what it says is shown only when it fails."""
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env=os.environ | variables, timeout=LONGEST,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}\n{done.stdout}")


def fresh(name):
    """An empty folder to generate into."""
    folder = MADE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def python():
    """openapi-python-client, on httpx."""
    package = fresh("python") / "levee_client"
    run("openapi-python-client", "generate", "--path", DOCUMENT, "--meta", "none", "--output-path", package,
        "--fail-on-warning")
    return [sys.executable, HERE / "python" / "scenario.py"], {"PYTHONPATH": str(package.parent)}


def typescript():
    """openapi-typescript and openapi-fetch. The compiler checks the scenario against the generated types."""
    folder = MADE / "typescript"
    folder.mkdir(parents=True, exist_ok=True)
    source = HERE / "typescript"
    lock, installed = source / "package-lock.json", folder / "installed.json"
    if not (installed.exists() and filecmp.cmp(lock, installed, shallow=False)):
        for name in ("package.json", "package-lock.json"):
            shutil.copy(source / name, folder)
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", folder=folder)
        shutil.copy(lock, installed)
    for name in ("scenario.ts", "tsconfig.json"):
        shutil.copy(source / name, folder)
    tools = folder / "node_modules" / ".bin"
    run(tools / "openapi-typescript", DOCUMENT, "--output", folder / "levee.d.ts")
    run(tools / "tsc", "--noEmit", folder=folder)
    return ["node", "--disable-warning=ExperimentalWarning", folder / "scenario.ts"], {}


def rust():
    """progenitor's macro; Cargo builds it beside Levee."""
    manifest = HERE / "rust" / "Cargo.toml"
    run("cargo", "build", "--locked", "--manifest-path", manifest)
    return ["cargo", "run", "--quiet", "--locked", "--manifest-path", manifest], {}


def go():
    """openapi-generator, on Go's standard library alone."""
    folder = fresh("go")
    options = "useOneOfDiscriminatorLookup=true,enumClassPrefix=true,packageName=levee"
    run("openapi-generator-cli", "generate", "--generator-name", "go", "--input-spec", DOCUMENT,
        "--output", folder / "levee", "--additional-properties", options)
    (folder / "levee" / "go.mod").unlink()
    (folder / "go.mod").write_text("module scenario\n\ngo 1.25\n")
    shutil.rmtree(folder / "levee" / "test", ignore_errors=True)
    shutil.copy(HERE / "go" / "scenario.go", folder)
    # Nothing is fetched: it stands on the standard library alone.
    offline = {"GOPROXY": "off", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0",
               "GOPATH": str(MADE / "go-path"), "GOCACHE": str(MADE / "go-cache")}
    run("go", "vet", ".", folder=folder, **offline)
    run("go", "build", "-o", "scenario", ".", folder=folder, **offline)
    return [folder / "scenario"], {}


LANGUAGES = {made.__name__: made for made in (python, typescript, rust, go)}


def main():
    binary, *chosen = sys.argv[1:]
    failed = 0
    with service.running(binary) as levee:
        for language in chosen or LANGUAGES:
            start = time.monotonic()
            try:
                command, variables = LANGUAGES[language]()
                run(*command, **variables, LEVEE_URL=levee.control, LEVEE_CALLS_URL=levee.calls,
                    LEVEE_FLAKY_URL=levee.flaky, LEVEE_EMAIL=levee.email, LEVEE_PASSWORD=levee.password,
                    SCENARIO=language)
                print(f"{language}: ok, {time.monotonic() - start:.0f} s", flush=True)
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                failed += 1
                print(f"{language}: FAILED\n{error}", flush=True)
        if failed:
            raise SystemExit(f"{len(chosen or LANGUAGES) - failed} passed, {failed} failed")
    print(f"{len(chosen or LANGUAGES)} passed, 0 failed")


main()
