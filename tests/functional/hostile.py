"""What becomes of a spoiled file: `check_files` is what the commands run, `judge` holds it against what is known of the file."""

from __future__ import annotations

import functools
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ftcore.data.faults import RowFault
from ftcore.data.preparing import prepare_splits
from ftcore.data.reading import formats_of, malformed_faults, read_file
from ftcore.data.splitting import split_rows
from ftcore.errors import FtcoreError, IntegrityError
from ftcore.spec import ColumnsSpec, DataSpec, LeakageSpec, PrepareSpec, Task, ValidationSpec
from ftcore.store import Manifest
from ftcore.validation.splits import judge_splits
from ftcore.validation.suites import Suite, load_suite, starter
from ftcore.validation.surroundings import Surroundings
from tests.functional.mutations import PAYLOAD, Mutation, good_rows, suffix, write

BUDGET = ValidationSpec(max_quarantined=0.05)
Row = dict[str, Any]


@dataclass
class Checked:
    """What the checks say of two files."""

    refused: list[str] = field(default_factory=list)
    set_aside: dict[str, str] = field(default_factory=dict)
    """Reason by row id."""
    read: list[Row] = field(default_factory=list)
    """Rows of the training file as read."""
    prepared: list[Row] = field(default_factory=list)
    """Rows of train and validation as a model would see them."""


def check_files(train: Path, test: Path, task: Task, docs: Path) -> Checked:
    """Read, judge and prepare two files as `ftcore validate` and the stages do."""
    checked = Checked()
    parts: dict[str, list[Row]] = {}
    rows_out: list[RowFault] = []
    for part, path in (("train", train), ("test", test)):
        parts[part], faults = read_file(path, ColumnsSpec(), formats=formats_of(task))
        checked.refused += faults.file_report()
        rows_out += faults.rows
    checked.read = parts["train"]
    checked.set_aside = {fault.id: fault.reason for fault in rows_out}
    num_rows = sum(map(len, parts.values()))
    checked.refused += malformed_faults(rows_out, num_rows, BUDGET.max_quarantined)
    if checked.refused:
        return checked
    splits = split_rows(parts, DataSpec(files={"train": train.name, "test": test.name}))
    leakage = LeakageSpec()
    around = Surroundings(task=task, max_leaked=leakage.max_leaked)
    judged = judge_splits(suite_for(task), splits, leakage, docs, around, BUDGET.max_quarantined)
    checked.refused += judged.refused
    prepared = prepare_splits(splits, PrepareSpec(), leakage, BUDGET, rows_out, judged.quarantine)
    checked.refused += prepared.refused
    checked.set_aside |= {item["id"]: item["reason"] for item in prepared.quarantine}
    checked.prepared = [*prepared.splits["train"], *prepared.splits["validation"]]
    return checked


@functools.cache
def suite_for(task: Task) -> Suite:
    """The starter suite."""
    return load_suite(starter(task))


@dataclass(frozen=True)
class Outcome:
    """`what` is refused, quarantined, harmless, checksum (only the manifest sees it), silent or traceback."""

    what: str
    why: str
    seconds: float


@dataclass(frozen=True)
class Case:
    """A spoiled file, laid down beside a good test file."""

    mutation: Mutation
    folder: Path
    spoiled: Path
    test: Path
    task: Task
    baseline: Checked
    """What the checks say of the file before it was spoiled."""
    manifest: Manifest


@functools.cache
def baseline_of(kind: str) -> Checked:
    """What the checks say of good files of a kind.

    Raises:
        AssertionError: They are not accepted.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        good = write(good_rows(kind, 70, "t"), folder / f"train.{suffix(kind)}")
        test = write(good_rows(kind, 40, "x"), folder / f"test.{suffix(kind)}")
        checked = check_files(good, test, _task(kind), folder / "docs")
    assert not checked.refused and not checked.set_aside, (checked.refused, checked.set_aside)
    return checked


def _task(kind: str) -> Task:
    return "instruction" if kind == "messages" else "classification"


def lay(mutation: Mutation, folder: Path) -> Case:
    """Write good files into an empty folder, take their manifest, and spoil the training file."""
    kind = mutation.kind
    good = write(good_rows(kind, 70, "t"), folder / f"train.{suffix(kind)}")
    test = write(good_rows(kind, 40, "x"), folder / f"test.{suffix(kind)}")
    manifest = Manifest.of(folder)
    good.unlink()
    return Case(mutation, folder, mutation.apply(folder), test, _task(kind), baseline_of(kind), manifest)


def judge(case: Case) -> Outcome:
    """Check a spoiled file and say what came of it. Only the check is timed."""
    started = time.monotonic()
    try:
        checked = check_files(case.spoiled, case.test, case.task, case.folder / "docs")
    except FtcoreError as error:
        return Outcome("refused", str(error), time.monotonic() - started)
    except Exception as error:
        return Outcome("traceback", f"{type(error).__name__}: {error}", time.monotonic() - started)
    seconds = time.monotonic() - started
    what, why = _compare(case, checked)
    return Outcome(what, why, seconds)


def _compare(case: Case, checked: Checked) -> tuple[str, str]:
    mutation, baseline, folder = case.mutation, case.baseline, case.folder
    if page := _unescaped(folder / "docs"):
        return "silent", f"{page} shows row text unescaped"
    if checked.refused:
        return ("refused", checked.refused[0]) if all(checked.refused) else ("silent", "an empty reason")
    changed = [row for row in checked.prepared if row not in baseline.prepared]
    if mutation.kept_as_text:
        written = _texts(mutation.apply(folder))
        legal = [row["text"] for row in checked.read] == written
        return (
            ("harmless", "kept as text, escaped") if legal and not checked.set_aside else ("silent", "text was changed")
        )
    lost = {row["id"] for row in baseline.prepared} - {row["id"] for row in checked.prepared} - set(checked.set_aside)
    num_unnamed = sum(" line " in row_id for row_id in checked.set_aside)  # their own id could not be read
    if not changed and len(lost) <= num_unnamed:
        reasons = ", ".join(sorted(set(checked.set_aside.values())))
        return ("quarantined", reasons) if reasons else ("harmless", "rows are the same")
    if mutation.at_rest:
        try:
            case.manifest.verify(folder)
        except IntegrityError as error:
            return "checksum", error.message
    return "silent", f"{len(changed)} rows changed, {len(lost)} lost"


def _texts(path: Path) -> list[str]:
    """Texts of a spoiled file, read without ftcore."""
    import pandas as pd

    if path.suffix == ".parquet":
        return list(pd.read_parquet(path)["text"])
    if path.suffix == ".csv":
        return list(pd.read_csv(path, dtype=str)["text"])
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row["messages"][0]["content"] if "messages" in row else row["text"] for row in rows]


def _unescaped(docs: Path) -> str | None:
    return next((page.name for page in docs.rglob("*.html") if PAYLOAD in page.read_text(encoding="utf-8")), None)
