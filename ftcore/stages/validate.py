"""validate: Great Expectations on every split, then what concerns several splits: labels, ids, leaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, DatasetVersion, Record, ValidationReport
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> ValidationReport:
    """Judge the data; Data Docs go to `docs/`, the leaked pairs (by row id) to `leaks.jsonl`.

    Raises:
        DataRefused: Files that cannot be read as rows; every fault is listed.
        DataUnavailable: A file that `data.files` names is missing.
        UsageError: The suite is missing or faulty.
    """
    from ftcore.data.leakage import count_by_rule, find_leaks
    from ftcore.data.reading import read_splits, write_jsonl
    from ftcore.validation.checks import cross_split_faults, leak_faults
    from ftcore.validation.suites import load_suite

    dataset = cast(DatasetVersion, inputs["ingest"])
    suite = load_suite(spec.at(spec.validation.suite))
    splits = read_splits(store.resolve(dataset.uri) / "files", spec.data)
    # Only now: importing Great Expectations takes seconds, and a broken file should be refused at once.
    from ftcore.validation.expectations import run_suite

    reports = run_suite(suite, splits, output.path / "docs")
    training = [*splits["train"], *splits["validation"]]
    leaks = find_leaks(training, splits["test"], spec.leakage.rules)
    write_jsonl(
        output.path / "leaks.jsonl",
        (
            {
                "rule": leak.rule,
                "test_id": splits["test"][leak.test_row]["id"],
                "train_id": training[leak.train_row]["id"],
                "score": leak.score,
            }
            for leak in leaks
        ),
    )
    failed = [f"{report.split}: {line}" for report in reports for line in report.failed]
    across = cross_split_faults(splits)
    leaked = leak_faults(leaks, len(splits["test"]), spec.leakage.max_leaked)
    return ValidationReport(
        uri=output.uri,
        data_digest=dataset.digest,
        suite_digest=suite.digest,
        splits=tuple(reports),
        num_leaked=count_by_rule(leaks, spec.leakage.rules),
        num_leaked_validation=count_by_rule(
            find_leaks(splits["train"], splits["validation"], spec.leakage.rules), spec.leakage.rules
        ),
        docs_uri=f"{output.uri}/docs/index.html",
        refused=(*failed, *across, *leaked),
    )
