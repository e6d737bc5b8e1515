"""All sections of the error analysis, as plain data. A fault in one is told in the result and leaves the others as they are."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from ftcore.errors import FtcoreError
from ftcore.evaluation.analysis.against import against_champion, must_see
from ftcore.evaluation.analysis.calibration import calibration
from ftcore.evaluation.analysis.clusters import Topics, Words, failure_clusters, topics_of
from ftcore.evaluation.analysis.confusions import Costs, confusions
from ftcore.evaluation.analysis.doubted_labels import doubted_labels
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows, read_holdout
from ftcore.evaluation.analysis.learning import learning_curve
from ftcore.evaluation.analysis.next_data import next_data
from ftcore.evaluation.analysis.probe import Probe, train_probe
from ftcore.evaluation.analysis.slice_section import found_slices
from ftcore.evaluation.analysis.slices import Slice
from ftcore.evaluation.analysis.worst_answers import failing, worst_answers

Row = Mapping[str, Any]
VERSION = 1
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Given:
    """What an analysis looks at."""

    folder: Path
    """Output of `evaluate`."""
    task: str
    metric: str
    """The gate's."""
    costs: Costs = field(default_factory=dict)
    train: Sequence[Row] = ()
    """Prepared training rows, for the learning curve; may be empty."""
    test: Sequence[Row] = ()
    """Prepared test rows, for texts and metadata; may be empty."""
    reviewed: frozenset[str] = frozenset()
    """Ids of test rows that the label audit of `prepare` suspects."""

    @property
    def generates(self) -> bool:
        return self.task != "classification"


class _Sections:
    """Makes sections one by one and notes the faults of those that cannot be made."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.faults: list[dict[str, str]] = []

    def make(self, name: str, made: Callable[[], _Made], otherwise: _Made) -> _Made:
        try:
            return made()
        except Exception as error:  # whatever it is: a fault here must never change a verdict, it is told in the report
            if self.strict:
                raise
            self.faults.append({"section": name, "fault": fault_of(error)})
            return otherwise


def fault_of(error: Exception) -> str:
    """What went wrong and where, without the error's own words where those could hold row text."""
    if isinstance(error, FtcoreError):
        return " ".join([error.message, *error.details])
    place, trace = "", error.__traceback__
    while trace is not None:
        place = f" in {Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return f"{type(error).__name__}{place}"


def analyse(given: Given, *, strict: bool = False) -> dict[str, Any]:
    """Sections by name, each None where it has no meaning or nothing to rest on, and `faults`.

    Args:
        strict: Raise the fault of a section instead of telling it (for tests).
    """
    sections = _Sections(strict)
    rows = sections.make(
        "rows", lambda: read_holdout(given.folder, given.test, generates=given.generates, metric=given.metric), None
    )
    made: dict[str, Any] = {}
    if rows is not None:
        made = _of_rows(rows, given, sections)
    found = {
        "version": VERSION, "task": given.task, "metric": given.metric,
        "num_rows": rows.num_rows if rows else 0, "num_all_rows": rows.num_all if rows else 0,
        "sections": made, "faults": sections.faults,
    }  # fmt: skip
    return {name: finite(value) for name, value in found.items()}


def _of_rows(rows: HoldoutRows, given: Given, sections: _Sections) -> dict[str, Any]:
    make, labelled = sections.make, not rows.generates
    bad = failing(rows)
    words = Words(rows.texts)
    vectors = rows.embeddings if rows.embeddings is not None else make("vectors", words.vectors, None)
    topics: Topics | None = make("topics", lambda: None if vectors is None else topics_of(vectors, words), None)
    none: list[dict[str, Any]] = []
    no_slices: tuple[dict[str, Any], list[tuple[Slice, int]]] = ({}, [])
    slices, counted = make("slices", lambda: found_slices(rows, topics), no_slices)
    probe: Probe | None = make("probe", lambda: _probe(rows, given), None) if labelled else None
    doubted = make("doubted_labels", lambda: doubted_labels(rows, probe, given.reviewed), None)
    doubted_ids = frozenset(doubted["ids"]) if doubted else frozenset()
    return {
        "summary": make("summary", lambda: _summary(rows), None),
        "must_see": make("must_see", lambda: must_see(rows, given.costs, doubted_ids), none),
        "confusions": make("confusions", lambda: confusions(rows, given.costs), None) if labelled else None,
        "worst_answers": make("worst_answers", lambda: worst_answers(rows, given.metric), None),
        "clusters": make("clusters", lambda: failure_clusters(rows, bad, vectors, words), none),
        "slices": slices or None,
        "against_champion": make("against_champion", lambda: against_champion(rows), None),
        "calibration": make("calibration", lambda: calibration(rows), None),
        "doubted_labels": doubted,
        "learning_curve": make("learning_curve", lambda: learning_curve(probe, rows.groups), None),
        "next_data": make(
            "next_data", lambda: next_data(rows, given.train, probe, counted, given.costs, doubted_ids), none
        ),
    }


def _probe(rows: HoldoutRows, given: Given) -> Probe | None:
    test = [{"text": text, "label": label} for text, label in zip(rows.texts, rows.targets, strict=True)]
    return train_probe(given.train, test)


def _summary(rows: HoldoutRows) -> dict[str, Any]:
    losses = {role: rows.losses(role) for role in rows.models}
    return {
        "num_failing": int(failing(rows).sum()),
        "num_groups": None if rows.groups is None else int(rows.groups.max()) + 1,
        "mean_score": {role: float(1.0 - loss.mean()) for role, loss in losses.items()},
        "has_embeddings": rows.embeddings is not None,
        "columns": sorted(rows.columns),
    }


def finite(value: Any) -> Any:
    """Plain data in which no number is NaN or infinite: those become None, which is shown as missing."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
