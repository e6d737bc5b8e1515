"""Write docs/spec-reference.md from the types in ftcore/spec/. `--check` fails when the page is out of date."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from ftcore.spec import FineTuneSpec

TARGET = Path(__file__).parent.parent / "docs" / "spec-reference.md"


def main() -> int:
    page = render()
    if "--check" in sys.argv:
        if not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != page:
            print(f"{TARGET} is out of date. Try: make docs")
            return 1
        return 0
    TARGET.write_text(page, encoding="utf-8")
    print(f"wrote {TARGET}")
    return 0


def render() -> str:
    lines = [
        "# Spec reference",
        "",
        "One YAML file per model under `dags/specs/`. Generated from `ftcore/spec/` by `make docs`; do not edit.",
        "Fractions are between 0 and 1. `ftcore spec check FILE` lists every fault of a spec at once.",
        "",
        "## Top level",
        "",
        *table(FineTuneSpec, sections=False),
    ]
    for name, field in FineTuneSpec.model_fields.items():
        section = field.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            lines += described(name, section, 2)
    return "\n".join(lines) + "\n"


def described(name: str, section: type[BaseModel], level: int) -> list[str]:
    """A section and those inside it."""
    lines = ["", f"{'#' * level} `{name}`", "", (section.__doc__ or "").strip(), "", *table(section)]
    for part, inner in section.model_fields.items():
        nested = section_of(inner.annotation)
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            lines += described(f"{name}.{part}", nested, level + 1)
    return lines


def section_of(annotation: Any) -> Any:
    """The section of an optional one; anything else as it is."""
    found = [item for item in get_args(annotation) if isinstance(item, type) and issubclass(item, BaseModel)]
    return found[0] if found else annotation


def table(section: type[BaseModel], *, sections: bool = True) -> list[str]:
    rows = ["| field | type | default | meaning |", "|---|---|---|---|"]
    schema = section.model_json_schema()["properties"]
    for name, field in section.model_fields.items():
        if not sections and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            continue
        default = "required" if field.is_required() else f"`{default_of(field)}`"
        rows.append(
            f"| `{name}` | {type_of(schema[name])} | {default} | {' '.join((field.description or '').split())} |"
        )
    return rows


def default_of(field: Any) -> str:
    value = field.get_default(call_default_factory=True)
    return "see below" if isinstance(value, BaseModel) else json.dumps(value)


def type_of(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        return " \\| ".join(type_of(item) for item in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {type_of(schema['items'])}"
    limits = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    bounds = ", ".join(f"{sign} {schema[key]:g}" for key, sign in limits.items() if key in schema)
    return schema.get("type", "section") + (f" {bounds}" if bounds else "")


if __name__ == "__main__":
    sys.exit(main())
