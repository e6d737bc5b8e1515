"""Which labelled rows may join the data set: those with which the pipeline would still take it.

Whoever may send labels must not be able to stop retraining: a version that validation or preparation refuses would be refused
in every later run as well.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path

from ftcore.data.extras import read_extras
from ftcore.data.faults import RowFault
from ftcore.data.preparing import prepare_splits
from ftcore.data.reading import read_splits
from ftcore.data.rows import released_ids
from ftcore.serving.log import Row
from ftcore.spec import FineTuneSpec
from ftcore.store import copy_folder
from ftcore.validation.splits import judge_splits
from ftcore.validation.suites import load_suite
from ftcore.validation.surroundings import surroundings_of


@dataclass(frozen=True)
class Accepted:
    """Outcome of `accept_rows`."""

    rows: tuple[Row, ...]
    """What may join; empty if that is fewer than asked for."""
    num_left_out: int
    reasons: tuple[str, ...]
    """Why rows were left out: what the pipeline would have said of the data set."""


def accept_rows(
    spec: FineTuneSpec,
    folder: Path,
    rows: Sequence[Row],
    to_files: Callable[[Sequence[Row]], Mapping[str, bytes]],
    *,
    known: Set[str],
    min_rows: int,
    released: Collection[str] = (),
) -> Accepted:
    """Judge the data set with `rows` in it; while it is refused, leave out the rows that are named.

    Where no row is to blame (say, there are too many labels), rows with labels that the data set does not know are left out.

    Args:
        folder: The data version that the rows would join; not changed.
        rows: Canonical columns.
        to_files: Rows -> the files that hold them, by their path inside the data folder.
        known: Labels of the data version; replies have none: then no row is left that could be let in.
        min_rows: Fewer are not worth a version.
        released: Digests of the rows that a person has let out of quarantine.

    Raises:
        UsageError: The suite is missing or faulty.
    """
    reasons: dict[str, None] = {}
    left = list(rows)
    while len(left) >= min_rows:
        refused, unfit = _refusals(spec, folder, to_files(left), released)
        if not refused:
            return Accepted(tuple(left), len(rows) - len(left), tuple(reasons))
        reasons.update(dict.fromkeys(refused))
        fit = [row for row in left if row["id"] not in unfit]
        if len(fit) == len(left):
            fit = [row for row in left if row.get("label") in known]
        if len(fit) == len(left):
            break
        left = fit
    return Accepted((), len(rows), tuple(reasons))


def refused_ratings(spec: FineTuneSpec, folder: Path, files: Mapping[str, bytes]) -> tuple[str, ...]:
    """Why `method.prefer` could not learn from the ratings of a data set with these files.

    Args:
        folder: The data version that the files would join; not changed.
        files: By their path inside the data folder.
    """
    method = spec.method.model_copy(update={"adapt": None})  # its texts do not change
    with tempfile.TemporaryDirectory(prefix="ftcore-feedback-") as temporary:
        trial = _with_files(folder, files, Path(temporary) / "data")
        splits = read_splits(trial, spec.data, task=spec.task, set_aside=[])
        return tuple(read_extras(spec.model_copy(update={"method": method}), trial, splits).refused)


def _with_files(folder: Path, files: Mapping[str, bytes], trial: Path) -> Path:
    copy_folder(folder, trial)
    for name, content in files.items():
        (trial / name).parent.mkdir(exist_ok=True)
        (trial / name).write_bytes(content)
    return trial


def _refusals(
    spec: FineTuneSpec, folder: Path, files: Mapping[str, bytes], released: Collection[str]
) -> tuple[tuple[str, ...], Set[str]]:
    """Why the pipeline would refuse the data set with these files, and the ids of the rows that are to blame."""
    embed = None
    if spec.leakage.paraphrases == "leak":
        from ftcore.models.embeddings import embedder_of

        embed = embedder_of(spec)
    malformed: list[RowFault] = []
    with tempfile.TemporaryDirectory(prefix="ftcore-feedback-") as temporary:
        trial = _with_files(folder, files, Path(temporary) / "data")
        splits = read_splits(trial, spec.data, task=spec.task, set_aside=malformed)
        suite = load_suite(spec.suite)
        free = released_ids(splits.values(), released)
        around, budget = replace(surroundings_of(spec, suite), released=free), spec.validation.max_quarantined
        found = judge_splits(suite, splits, spec.leakage, Path(temporary) / "docs", around, budget, embed, malformed)
    if found.refused:
        return found.refused, found.unfit
    settings = (spec.prepare, spec.leakage, spec.validation)
    prepared = prepare_splits(splits, *settings, malformed, found.quarantine, free, embed)
    return tuple(prepared.refused), {item["id"] for item in prepared.quarantine}
