"""A train and a test file judged without a spec: the same rules, with the settings that a new spec would have."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ftcore.data.canonical import Row
from ftcore.data.preparing import prepare_splits
from ftcore.data.two_files import TwoFiles
from ftcore.records import DatasetVersion, digest_of
from ftcore.spec import BaseModelSpec, DataSpec, FineTuneSpec, LeakageSpec, Split, Task, ValidationSpec
from ftcore.store import file_sha256
from ftcore.validation.profiles import profile_splits
from ftcore.validation.report import DataReport, collect
from ftcore.validation.splits import Findings, judge_splits
from ftcore.validation.suites import Suite, load_suite, starter
from ftcore.validation.surroundings import Surroundings


@dataclass(frozen=True)
class Judged:
    """What was found in two files."""

    suite: Suite
    found: Findings
    report: DataReport
    prepared: Mapping[str, Mapping[str, int]]
    """What preparing these rows would do: rows set aside by reason, rows with personal data by kind."""
    num_repaired: int
    """Texts whose encoding preparing would repair."""
    train: Sequence[Row]
    """The train rows that preparing would leave, as it would leave them."""


def judge_two(
    files: TwoFiles, train: str, test: str, suite: Path | None, leakage: LeakageSpec, max_quarantined: float, docs: Path
) -> Judged:
    """Judge two files.

    Args:
        files: Their rows.
        train: Name of the train file, test likewise: for the report.
        suite: What is expected; None: the starter suite of the task.
        leakage: Rules and budget.
        max_quarantined: Share of rows that may be set aside.
        docs: Folder for the Data Docs.

    Raises:
        UsageError: The suite is missing or faulty.
    """
    task: Task = "classification" if files.format == "classification" else "instruction"
    loaded = load_suite(suite or starter(task))
    splits: dict[Split, list[dict[str, object]]] = {"train": files.train, "test": files.test}
    around = Surroundings(task=task, max_leaked=leakage.max_leaked, folder=suite.parent if suite else None)
    found = judge_splits(loaded, splits, leakage, docs, around, max_quarantined, malformed=files.malformed)
    spec = FineTuneSpec(
        name=_name(train),
        task=task,
        data=DataSpec(repo=None, files={"train": train, "test": test}),
        leakage=leakage,
        validation=ValidationSpec(max_quarantined=max_quarantined),
        base_model=BaseModelSpec(name="none"),
    )
    version = digest_of([file_sha256(Path(train)), file_sha256(Path(test))])
    num_bytes = Path(train).stat().st_size + Path(test).stat().st_size
    dataset = DatasetVersion(
        repo=None, rev=version, path=".", uri="", manifest_digest=version, num_files=2, num_bytes=num_bytes
    )
    report = collect(spec, dataset, loaded, splits, found, around, profile_splits(splits))
    report = replace(report, in_store=False)
    prepared = prepare_splits(splits, spec.prepare, leakage, spec.validation, files.malformed, found.quarantine)
    counts = {
        "Preparing would set aside": prepared.num_quarantined,
        "Rows with personal data": prepared.num_personal,
    }
    return Judged(loaded, found, report, counts, prepared.num_repaired, prepared.splits["train"])


def _name(path: str) -> str:
    """A file's name as a spec could have it."""
    stem = re.sub(r"[^a-z0-9]+", "_", Path(path).stem.lower()).strip("_")
    return (stem if re.match(r"[a-z]", stem) else f"data_{stem}")[:60]
