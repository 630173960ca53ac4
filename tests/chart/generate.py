"""Makes helm/levee/values.schema.json and the table in helm/levee/README.md of the comments in helm/levee/values.yaml.

`generate.py` rewrites them; `check` answers what would change. The form of values.yaml is narrow on purpose: each key has
its comment above it, `# @schema {…}` in that comment narrows what the key may be, and a key's value is either on its line,
or keys of its own (a section), or, for what a schema describes whole, anything deeper.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "levee"
BEGIN, END = "<!-- made of values.yaml by `make update` -->", "<!-- end of values -->"
TEXT = {"type": "string"}
LABELS = {"type": "object", "additionalProperties": TEXT}
EXPRESSION = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"key": TEXT, "operator": {"enum": ["In", "NotIn", "Exists", "DoesNotExist"]}, "values": {"type": "array", "items": TEXT}},
}
SELECTOR = {
    "type": "object",
    "additionalProperties": False,
    "properties": {"matchLabels": LABELS, "matchExpressions": {"type": "array", "items": EXPRESSION}},
}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "integer", "number"]}}


def thing(required, **properties):
    """An object with these properties and no others."""
    return {"type": "object", "additionalProperties": False, "required": required, "properties": properties}


# What `@schema {ref: …}` names.
DEFINITIONS = {
    "resources": thing([], requests=QUANTITIES, limits=QUANTITIES),
    "peer": thing(
        [],
        namespaceSelector=SELECTOR,
        podSelector=SELECTOR,
        ipBlock=thing(["cidr"], cidr=TEXT, **{"except": {"type": "array", "items": TEXT}}),
    ),
    "parentRef": thing(
        ["name"], group=TEXT, kind=TEXT, namespace=TEXT, name=TEXT, sectionName=TEXT, port={"type": "integer"}
    ),
    "tls": thing([], secretName=TEXT, hosts={"type": "array", "items": TEXT}),
}


@dataclass
class Value:
    """A key of values.yaml."""

    path: tuple
    text: str
    narrowing: dict | None
    default: object
    children: list = field(default_factory=list)

    def is_section(self):
        """Its keys are documented one by one."""
        return bool(self.children)


def read(path=None):
    """The top-level keys, or a fault naming the line of a key without a comment."""
    text = (path or CHART / "values.yaml").read_text()
    defaults = yaml.safe_load(text)
    root, open_keys, comment = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        key = re.match(r"( *)([A-Za-z][A-Za-z0-9]*):", line)
        note = re.match(r" *# ?(.*)", line)
        if note:
            comment.append(note[1])
            continue
        if not key:
            comment = []
            continue
        depth = len(key[1]) // 2
        inside = depth and open_keys[depth - 1] if depth <= len(open_keys) else None
        if depth and (inside is None or inside.narrowing is not None):
            # Deeper within a value that a schema describes whole.
            open_keys[depth:] = [None] if inside is None else []
            comment = []
            continue
        if not comment:
            raise SystemExit(f"values.yaml:{number}: {key[2]} has no comment")
        value = describe(key[2], inside, comment, defaults)
        (inside.children if inside else root).append(value)
        open_keys[depth:] = [value]
        comment = []
    return root


def describe(name, inside, comment, defaults):
    """A key with what its comment says."""
    path = (inside.path if inside else ()) + (name,)
    default = defaults
    for part in path:
        default = default[part]
    narrowing = [line.removeprefix("@schema ") for line in comment if line.startswith("@schema ")]
    text = " ".join(line for line in comment if not line.startswith("@schema "))
    return Value(path, text, yaml.safe_load(narrowing[0]) if narrowing else None, default)


def leaves(values):
    """Every key that has a value of its own."""
    for value in values:
        yield from leaves(value.children) if value.is_section() else [value]


def type_of(default):
    """The type of schema that a default has."""
    for kind, name in ((bool, "boolean"), (int, "integer"), (str, "string"), (list, "array"), (dict, "object")):
        if isinstance(default, kind):
            return name
    raise SystemExit(f"no type for {default!r}: say it by @schema")


def resolve(node):
    """The narrowing with its references written as JSON schema has them."""
    if isinstance(node, list):
        return [resolve(item) for item in node]
    if not isinstance(node, dict):
        return node
    if set(node) == {"ref"}:
        return {"$ref": f"#/definitions/{node['ref']}"}
    return {key: resolve(item) for key, item in node.items()}


def schema_of(value):
    """The JSON schema of one key."""
    if value.is_section():
        inside = {child.path[-1]: schema_of(child) for child in value.children}
        return {"description": value.text, "type": "object", "additionalProperties": False, "properties": inside}
    narrowing = resolve(value.narrowing or {})
    if "$ref" in narrowing or "enum" in narrowing:
        return {"description": value.text, **narrowing}
    return {"description": value.text, "type": narrowing.get("type") or type_of(value.default), **narrowing}


def schema():
    """values.schema.json. `global` is what Helm gives every chart below another."""
    properties = {value.path[-1]: schema_of(value) for value in read()}
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart levee",
        "type": "object",
        "additionalProperties": False,
        "properties": {**properties, "global": {"description": "Helm's own.", "type": "object"}},
        "definitions": DEFINITIONS,
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def table():
    """The values as a table of Markdown, a heading for each section."""
    lines = []
    alone = [value for value in read() if not value.is_section()]
    lines += ["### Alone", "", *rows(alone)]
    for section in (value for value in read() if value.is_section()):
        lines += [f"### `{section.path[0]}`", "", section.text, "", *rows(leaves(section.children))]
    return "\n".join(lines)


def rows(values):
    """One row for each key."""
    lines = ["| value | default | meaning |", "| --- | --- | --- |"]
    for value in values:
        default = json.dumps(value.default, ensure_ascii=False).replace("|", "\\|")
        enum = (value.narrowing or {}).get("enum", [])
        listed = ", ".join(f"`{item}`" for item in enum if item)
        text = value.text if not listed or all(str(item) in value.text for item in enum) else f"{value.text} One of {listed}."
        lines.append(f"| `{'.'.join(value.path)}` | `{default}` | {text} |")
    return [*lines, ""]


def readme():
    """README.md with its table made anew."""
    page = (CHART / "README.md").read_text()
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n\n{table()}\n{END}{rest.split(END)[1]}"


# Files of the repository that the chart carries, and where: it can only read what lies inside it.
CARRIED = {"helm/rights.json": "files", "openapi/*.crd.yaml": "files", "dashboards/*.json": "files/dashboards", "dashboards/rules/*.yaml": "files/rules"}


def made():
    """Every made file with its text."""
    carried = {}
    for pattern, folder in CARRIED.items():
        carried |= {CHART / folder / file.name: file.read_text() for file in sorted(CHART.parents[1].glob(pattern))}
    return {CHART / "values.schema.json": schema(), CHART / "README.md": readme(), **carried}


if __name__ == "__main__":
    for file, text in made().items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        print(file.relative_to(CHART.parents[1]), file=sys.stderr)
