"""Which rows the table has, and with which settings each is measured: read from settings.yaml. Loads no heavy library."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ftcore.records import digest_of
from ftcore.spec import FineTuneSpec, load_spec, with_settings

ROOT = Path(__file__).parents[2]
SETTINGS = Path(__file__).with_name("settings.yaml")
_READ = ("task", "data", "leakage", "prepare", "base_model", "method", "training", "evaluation")
"""Sections of a spec file that a figure depends on."""


@dataclass(frozen=True, eq=False)
class DataSet:
    """Rows that methods are compared on."""

    name: str
    title: str
    spec: str
    """File, relative to the repository."""
    settings: Mapping[str, Any]
    data: str | None
    """Environment variable that names the folder; None: the data are shipped."""
    whole_test: bool
    """Score the test split as it was given, not as `prepare` leaves it."""
    only_named: bool
    """Only methods whose `on_set` names this set run on it."""


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    data: DataSet
    method: str
    title: str
    baseline: str | None
    """Name of a baseline of the evaluation; None: a model is trained."""
    settings: Mapping[str, Any]
    wanted: Mapping[str, float]
    """Figure -> least value that it should have."""

    @property
    def name(self) -> str:
        return f"{self.data.name}/{self.method}"

    @property
    def prepare(self) -> dict[str, Any]:
        """The settings that choose what is prepared beside the rows: which ratings of answers."""
        return {name: value for name, value in self.settings.items() if name.startswith("method.prefer")}

    @property
    def digest(self) -> str:
        """SHA-256 of everything that is declared for this row: another digest, another measurement."""
        raw = yaml.safe_load((ROOT / self.data.spec).read_text(encoding="utf-8"))
        spec = {section: raw.get(section) for section in _READ}
        prepared = [self.prepare, self.data.whole_test]
        return digest_of([spec, prepared, self.baseline, dict(self.settings)])


def read_plan(path: Path = SETTINGS) -> list[Row]:
    """All rows: sets in the order of the file, of each the methods in the order of the file."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    sets = [
        DataSet(
            name, item["title"], item["spec"], item.get("settings", {}), item.get("data"), bool(item.get("whole_test")),
            bool(item.get("only_named")),
        )
        for name, item in raw["sets"].items()
    ]  # fmt: skip
    return [row for data in sets for row in _rows_of(data, raw["every"], raw["methods"])]


def _rows_of(data: DataSet, every: Mapping[str, Any], methods: Mapping[str, Mapping[str, Any]]) -> Iterator[Row]:
    for name, item in methods.items():
        named = item.get("on_set", {})
        if (data.only_named or item.get("only_named")) and data.name not in named:
            continue
        settings = {**every, **data.settings, **item.get("settings", {}), **named.get(data.name, {})}
        wanted = item.get("wanted", {}).get(data.name, {})
        yield Row(data, name, item.get("title", name), item.get("baseline"), settings, wanted)


def chosen(rows: Sequence[Row], patterns: Sequence[str]) -> list[Row]:
    """Rows whose `SET/METHOD` matches one of the patterns (`*` and `?`); all of them if there are no patterns."""
    return [row for row in rows if not patterns or any(fnmatch.fnmatch(row.name, pattern) for pattern in patterns)]


def spec_of(row: Row, folder: str | None) -> FineTuneSpec:
    """The spec that a row's data are prepared with.

    Args:
        folder: Where data lie that are not shipped.
    """
    spec = load_spec(ROOT / row.data.spec, [f"data.path={Path(folder).absolute()}"] if folder else [])
    return with_settings(spec, row.prepare)


def spec_of_row(row: Row, prepared: FineTuneSpec) -> FineTuneSpec:
    """The spec that a row is trained with.

    Raises:
        SpecError: Settings do not go together.
    """
    return with_settings(prepared, row.settings)
