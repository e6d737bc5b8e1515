"""validate: Great Expectations on every split, then what concerns several splits: labels, ids, leaks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import cast

from ftcore.records import DataRef, DatasetVersion, Record, Released, ValidationReport, canonical_json
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store, write_durable


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> ValidationReport:
    """Judge the data; Data Docs go to `docs/`, the leaked pairs (by row id) to `leaks.jsonl`, paraphrases that count for nothing
    to `paraphrases.jsonl`, what fell short (with row ids and examples) to `findings.json`, the rows to set aside to
    `set_aside.json`, rows that cannot be read to `malformed.jsonl`, the profile of this version to `profile.json`, and all of
    it, for a person to read, to `report.html`.

    Raises:
        DataRefused: Files that cannot be read as rows; every fault is listed.
        DataUnavailable: A file that `data.files` names is missing.
        UsageError: The suite or the accepted profile is missing or faulty.
        BaseModelError: The suite looks at tokens, or the spec at paraphrases, and the base model is missing.
    """
    from ftcore.data.faults import RowFault
    from ftcore.data.reading import read_splits, write_jsonl
    from ftcore.data.rows import released_ids
    from ftcore.validation.suites import load_suite

    dataset = cast(DatasetVersion, inputs["ingest"])
    suite = load_suite(spec.suite)
    malformed: list[RowFault] = []
    splits = read_splits(store.resolve(dataset.uri) / "files", spec.data, task=spec.task, set_aside=malformed)
    # Only now: importing Great Expectations takes seconds, and a broken file should be refused at once.
    from ftcore.validation.profiles import profile_splits
    from ftcore.validation.report import collect, write_report
    from ftcore.validation.splits import judge_splits
    from ftcore.validation.surroundings import surroundings_of

    released = cast(Released | None, inputs.get("released"))
    around = surroundings_of(spec, suite)
    around = replace(around, released=released_ids(splits.values(), frozenset(released.rows if released else ())))
    embed = None
    if spec.leakage.paraphrases != "off":
        from ftcore.models.embeddings import embedder_of

        embed = embedder_of(spec)
    budget = spec.validation.max_quarantined
    found = judge_splits(suite, splits, spec.leakage, output.path / "docs", around, budget, embed, malformed)
    write_durable(output.path / "findings.json", canonical_json([finding.to_dict() for finding in found.found]))
    write_durable(output.path / "set_aside.json", canonical_json(found.quarantine))
    write_durable(output.path / "profile.json", canonical_json(profile := profile_splits(splits)))
    write_jsonl(output.path / "leaks.jsonl", found.leaks)
    write_jsonl(output.path / "paraphrases.jsonl", found.paraphrases)
    write_jsonl(output.path / "malformed.jsonl", map(asdict, malformed))
    write_report(output.path / "report.html", collect(spec, dataset, suite, splits, found, around, profile))
    return ValidationReport(
        uri=output.uri,
        data_digest=dataset.digest,
        suite_digest=suite.digest,
        splits=found.reports,
        num_leaked=found.num_leaked,
        num_leaked_validation=found.num_leaked_validation,
        num_paraphrased=len({pair["test_id"] for pair in found.paraphrases}),
        docs_uri=f"{output.uri}/docs/index.html",
        report_uri=f"{output.uri}/report.html",
        refused=found.refused,
    )
