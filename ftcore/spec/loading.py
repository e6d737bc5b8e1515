"""A spec from its file, checked as a whole: every fault at once, each with its path, the value seen and what is allowed.

Unknown keys are faults: a misspelt setting must never be ignored.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ftcore.errors import SpecError, UsageError
from ftcore.spec.base import Section
from ftcore.spec.sections import FineTuneSpec


def load_spec(path: str | Path, overrides: Iterable[str] = ()) -> FineTuneSpec:
    """Read a spec and check it as a whole.

    Args:
        path: YAML file.
        overrides: `section.field=value` settings applied on top; values are YAML.

    Raises:
        SpecError: The file is missing, not YAML, or has faults; every fault is listed.
        UsageError: An override is not of the form `section.field=value`.
    """
    path = Path(path)
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SpecError(f"No spec at {path}.", hint="ls dags/specs") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"Cannot read the spec {path}: {error}.") from None
    except yaml.YAMLError as error:
        raise SpecError(f"{path} is not YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(raw, dict):
        raise SpecError(f"{path} holds {type(raw).__name__}, wanted a mapping of sections.", hint="ftcore spec schema")
    for override in overrides:
        _apply(raw, override)
    try:
        spec = FineTuneSpec.model_validate(raw)
        spec._root = project_root(path)
        return spec
    except ValidationError as error:
        faults = _faults(error)
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise SpecError(f"{path} has {count}:", details=faults, hint="ftcore spec schema") from None


def project_root(spec_path: Path) -> Path:
    """The nearest parent of a spec file that holds `expectations/` or `.git`; else the spec's own folder."""
    folder = spec_path.absolute().parent
    for parent in (folder, *folder.parents):
        if (parent / "expectations").is_dir() or (parent / ".git").exists():
            return parent
    return folder


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not re.fullmatch(r"[a-z_0-9]+(\.[a-z_0-9]+)*", key):
        raise UsageError(f"Cannot read the override {override!r}.", hint="--set training.epochs=3")
    *parents, last = key.split(".")
    node: Any = raw
    for parent in parents:
        node = node.setdefault(parent, {})
        if not isinstance(node, dict):
            raise UsageError(f"The override {override!r} goes into {parent}, which is not a section.")
    node[last] = yaml.safe_load(value)


def _faults(error: ValidationError) -> list[str]:
    return [_fault(item) for item in error.errors(include_url=False)]


def _fault(item: Mapping[str, Any]) -> str:
    path = ".".join(str(part) for part in item["loc"]) or "(whole spec)"
    if item["type"] == "extra_forbidden":
        return f"{path}: unknown key{_allowed_keys(item['loc'])}"
    if item["type"] == "missing":
        return f"{path}: missing, wanted a value"
    seen = "" if isinstance(item["input"], dict) else f"saw {item['input']!r}; "
    return f"{path}: {seen}{item['msg'].removeprefix('Value error, ')}"


def _allowed_keys(location: tuple[str | int, ...]) -> str:
    section: Any = FineTuneSpec
    for part in location[:-1]:
        field = (
            section.model_fields.get(str(part)) if isinstance(section, type) and issubclass(section, Section) else None
        )
        section = _section_of(field.annotation) if field else None
    if isinstance(section, type) and issubclass(section, Section):
        return f"; allowed: {', '.join(section.model_fields)}"
    return ""


def _section_of(annotation: Any) -> Any:
    """The section of an optional one (`Section | None`); anything else as it is."""
    sections = [item for item in get_args(annotation) if isinstance(item, type) and issubclass(item, Section)]
    return sections[0] if sections else annotation
