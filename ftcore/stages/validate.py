"""validate: Great Expectations on every split, then what concerns several splits: labels, ids, leaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import cast

from ftcore.records import DataRef, DatasetVersion, Record, ValidationReport
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> ValidationReport:
    """Judge the data; Data Docs go to `docs/`, the leaked pairs (by row id) to `leaks.jsonl`, rows that
    cannot be read to `malformed.jsonl`.

    Raises:
        DataRefused: Files that cannot be read as rows; every fault is listed.
        DataUnavailable: A file that `data.files` names is missing.
        UsageError: The suite is missing or faulty.
    """
    from ftcore.data.faults import RowFault
    from ftcore.data.reading import malformed_faults, read_splits, write_jsonl
    from ftcore.validation.suites import load_suite

    dataset = cast(DatasetVersion, inputs["ingest"])
    suite = load_suite(spec.at(spec.validation.suite))
    malformed: list[RowFault] = []
    splits = read_splits(store.resolve(dataset.uri) / "files", spec.data, task=spec.task, set_aside=malformed)
    num_rows = sum(len(rows) for rows in splits.values())
    too_many = malformed_faults(malformed, num_rows, spec.validation.max_quarantined)
    # Only now: importing Great Expectations takes seconds, and a broken file should be refused at once.
    from ftcore.validation.splits import judge_splits

    found = judge_splits(suite, splits, spec.leakage, output.path / "docs")
    write_jsonl(output.path / "leaks.jsonl", found.leaks)
    write_jsonl(output.path / "malformed.jsonl", map(asdict, malformed))
    return ValidationReport(
        uri=output.uri,
        data_digest=dataset.digest,
        suite_digest=suite.digest,
        splits=found.reports,
        num_leaked=found.num_leaked,
        num_leaked_validation=found.num_leaked_validation,
        docs_uri=f"{output.uri}/docs/index.html",
        refused=(*too_many, *found.refused),
    )
