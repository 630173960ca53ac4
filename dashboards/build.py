"""Writes the dashboards: dashboards/*.json from the sources in dashboards/source/.

    build.py            writes them
    build.py --check    says which differ from their source, and ends with 1 if any does
"""

import json
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True

from source import fleet, overview, runtime, upstream


def main():
    """Writes, or compares."""
    stale = []
    for name, source in (("overview", overview), ("upstream", upstream), ("fleet", fleet), ("runtime", runtime)):
        file, text = HERE / f"{name}.json", json.dumps(source.made(), indent=1, ensure_ascii=False) + "\n"
        if "--check" not in sys.argv:
            file.write_text(text)
        elif not file.exists() or file.read_text() != text:
            stale.append(file.name)
    if stale:
        raise SystemExit(f"out of date: {', '.join(stale)}: run make update")


main()
