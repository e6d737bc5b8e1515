"""A spec from its file, checked as a whole: every fault at once, each with its path, the value seen and what is allowed.

Unknown keys are faults: a misspelt setting must never be ignored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from ftcore.errors import SpecError, UsageError
from ftcore.spec.base import Section
from ftcore.spec.whole import FineTuneSpec


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
    return _checked(raw, str(path), project_root(path))


def with_settings(spec: FineTuneSpec, settings: Mapping[str, Any]) -> FineTuneSpec:
    """The spec with other values, by dotted field name: what a trial, or a training after a search, runs with.

    Raises:
        SpecError: The values do not go together, or a field does not take its value; every fault is listed.
    """
    raw = spec.model_dump(mode="json")
    for path, value in settings.items():
        *parents, last = path.split(".")
        node = raw
        for parent in parents:
            node[parent] = node.get(parent) or {}
            node = node[parent]
        node[last] = value
    return _checked(raw, f"{spec.name} with other settings", spec.root)


def setting_of(spec: FineTuneSpec, path: str) -> Any:
    """The value of a field by its dotted name, as plain JSON; None where a section on the way is not there."""
    value: Any = spec.model_dump(mode="json")
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _checked(raw: dict[str, Any], name: str, root: Path) -> FineTuneSpec:
    try:
        spec = FineTuneSpec.model_validate(raw)
    except ValidationError as error:
        faults = _faults(error)
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise SpecError(f"{name} has {count}:", details=faults, hint="ftcore spec schema") from None
    spec._root = root
    return spec


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
    if item["type"] in ("model_type", "model_attributes_type", "dataclass_type"):
        return f"{path}: {seen}wanted a section{_allowed_keys((*item['loc'], ''))}{_example(item['loc'])}"
    if item["type"] == "list_type":
        return f"{path}: {seen}wanted a list{_example(item['loc'])}"
    return f"{path}: {seen}{item['msg'].removeprefix('Value error, ')}"


def _example(location: tuple[str | int, ...]) -> str:
    """A value of the right type as it can be typed: the default, or for an empty list the first word it may hold."""
    path = ".".join(map(str, location))
    field = _field(location)
    if field is None or field.is_required():
        return ""
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
        first = next(iter(field.annotation.model_fields), None)
        return _example((*location, first)) if first else ""
    value = field.get_default(call_default_factory=True)
    if value == []:
        value = list(_words(field.annotation))[:1]
    text = value if isinstance(value, str) else json.dumps(value)
    return f"; for example --set '{path}={text}'"


def _words(annotation: Any) -> Iterable[str]:
    """The words that a type of fixed words allows, wherever they stand in it."""
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        else:
            yield from _words(part)


def _field(location: tuple[str | int, ...]) -> Any:
    """The field of the spec at a path; None: there is none, or the path goes through a list."""
    section: Any = FineTuneSpec
    field = None
    for part in location:
        if not (isinstance(section, type) and issubclass(section, Section)):
            return None
        field = section.model_fields.get(str(part))
        section = _section_of(field.annotation) if field else None
    return field


def _allowed_keys(location: tuple[str | int, ...]) -> str:
    field = _field(location[:-1])
    section: Any = _section_of(field.annotation) if field else None if location[:-1] else FineTuneSpec
    if isinstance(section, type) and issubclass(section, Section):
        return f"; allowed: {', '.join(section.model_fields)}"
    return ""


def _section_of(annotation: Any) -> Any:
    """The section of an optional one (`Section | None`); anything else as it is."""
    sections = [item for item in get_args(annotation) if isinstance(item, type) and issubclass(item, Section)]
    return sections[0] if sections else annotation
