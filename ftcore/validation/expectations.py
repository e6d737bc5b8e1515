"""Runs a suite with Great Expectations on every split and builds Data Docs.

GX is asked, not trusted: an expectation counts as met only if it says success, raised nothing, and looked at rows. What GX
leaves out of its answer is a failure.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import great_expectations as gx
import pandas as pd
from great_expectations.expectations.registry import get_expectation_impl

import ftcore.validation.custom  # noqa: F401  registers ftcore's own expectations
from ftcore.errors import UsageError, num_of
from ftcore.records import SplitReport
from ftcore.spec import Split
from ftcore.validation.datadocs import build_docs, make_context
from ftcore.validation.findings import Action, Finding, find_rows
from ftcore.validation.judging import judge, unexpected_rows
from ftcore.validation.suites import Entry, Suite, required_columns
from ftcore.validation.surroundings import Surroundings, surrounded_by

_COLUMNS = ("id", "text", "label", "completion", "messages", "group", "timestamp", "source")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SuiteResult:
    """What a suite says of a data set."""

    reports: tuple[SplitReport, ...]
    """One per split, in the order given. `failed` is empty only if nothing asks for refusal."""
    unfit: frozenset[str]
    """Ids of the rows that break an expectation that was not met; none for expectations about a column as a whole."""
    findings: tuple[Finding, ...] = ()
    """Everything that fell short, with row ids and examples."""
    quarantine: Mapping[str, str] = field(default_factory=dict)
    """Row id -> reason, for rows to be set aside. One reason per row: the first in the order of the suite."""


def run_suite(
    suite: Suite, splits: Mapping[Split, Sequence[Row]], docs: Path, around: Surroundings = Surroundings()
) -> SuiteResult:
    """Judge every split and build Data Docs (`docs`/index.html).

    Args:
        suite: What is expected.
        splits: Rows in canonical columns per split.
        docs: Folder to build; absolute or relative, made here.
        around: What expectations may need besides: task, tokenizer, accepted profile, leaks. An expectation that lacks what
            it needs is not met. Labels of the other splits are filled in here.

    Raises:
        UsageError: The suite names an unknown expectation or gives one wrong arguments; every fault is listed.
    """
    frames = {split: to_frame(rows, around.task) for split, rows in splits.items()}
    known = around.tokenizer is not None
    asked = {split: suite.for_split(split, frame.columns, around.task, known) for split, frame in frames.items()}
    built = _build(asked)
    context = make_context(docs.absolute())
    source = context.data_sources.add_pandas("splits")
    around = replace(around, labels={split: _count_labels(rows) for split, rows in splits.items()})
    reports: list[SplitReport] = []
    findings: list[Finding] = []
    quarantine: dict[str, str] = {}
    unfit: set[str] = set()
    for split, frame in frames.items():
        with surrounded_by(around.of_split(split)):
            results = _run_split(context, source, f"{suite.name}_{split}", split, built[split], frame)
        seen = _judge_split(split, frame, list(zip(asked[split], built[split], results, strict=True)))
        seen = [finding for finding in seen if not _all_released(finding, around.released)]
        findings += seen
        refused = [finding for finding in seen if finding.action == "refuse"]
        unfit.update(row_id for finding in refused for row_id in finding.row_ids)
        aside = {
            row_id: finding.reason
            for finding in reversed(seen)
            if finding not in refused
            for row_id in finding.row_ids
            if row_id not in around.released
        }
        quarantine = aside | quarantine
        reports.append(
            SplitReport(
                split=split,
                num_rows=len(frame),
                num_expectations=len(asked[split]),
                failed=tuple(finding.said for finding in refused),
                quarantined=dict(sorted(Counter(aside.values()).items())),
            )  # fmt: skip
        )
    build_docs(context, docs)
    return SuiteResult(tuple(reports), frozenset(unfit), tuple(findings), quarantine)


def _all_released(finding: Finding, released: frozenset[str]) -> bool:
    """True for rows that a person has let in: there is nothing to say of them any more."""
    return finding.action == "quarantine" and bool(finding.row_ids) and set(finding.row_ids) <= released


def to_frame(rows: Sequence[Row], task: str = "classification") -> pd.DataFrame:
    """Canonical columns as a frame, `messages` as JSON text; optional columns only where some row has one. Required ones are
    left out only if no row has the key at all, so that a missing column is seen as missing."""
    there = {key for row in rows for key in row} if rows else set(required_columns(task))
    columns = [column for column in _COLUMNS if column in there]
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    return pd.DataFrame(cells, columns=columns, dtype=object)


def _cell(value: Any) -> Any:
    """Lists and objects as JSON: the metrics of Great Expectations want values that can be hashed."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _count_labels(rows: Sequence[Row]) -> dict[str, int]:
    return dict(Counter(str(row["label"]) for row in rows if row.get("label")))


def _build(asked: Mapping[Split, Sequence[Entry]]) -> dict[Split, list[Any]]:
    """GX objects per split; one faulty entry is reported together with all others."""
    built: dict[Split, list[Any]] = {split: [] for split in asked}
    faults: dict[str, None] = {}
    for split, entries in asked.items():
        for entry in entries:
            try:
                meta = {"notes": {"format": "string", "content": [str(entry.meta["notes"])]}}
                built[split].append(get_expectation_impl(entry.type)(**entry.kwargs, meta=meta))
            except gx.exceptions.ExpectationNotFoundError:
                faults[f"{entry.type}: Great Expectations {gx.__version__} has no such expectation"] = None
            except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
                faults[f"{entry}: {' '.join(str(error).split())[:200]}"] = None
    if faults:
        raise UsageError(f"The expectation suite has {num_of(len(faults), 'fault')}:", details=list(faults))
    return built


def _run_split(
    context: Any, source: Any, name: str, split: str, expectations: Sequence[Any], frame: pd.DataFrame
) -> list[Any]:
    """GX results in the order of `expectations`; None for one that GX did not answer."""
    gx_suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
    batch = source.add_dataframe_asset(split).add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=split, data=batch, suite=gx_suite))
    # Positions of what is unexpected, not values: neither messages nor Data Docs show row text.
    detail = {"result_format": "COMPLETE", "partial_unexpected_count": 0, "exclude_unexpected_values": True}
    checkpoint = gx.Checkpoint(name=split, validation_definitions=[definition], result_format=detail)
    (outcome,) = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame}).run_results.values()
    answers = {result.expectation_config.id: result for result in outcome.results}
    return [answers.get(expectation.id) for expectation in gx_suite.expectations]


def _judge_split(split: str, frame: pd.DataFrame, answered: Sequence[tuple[Entry, Any, Any]]) -> list[Finding]:
    """What fell short, in the order of the suite."""
    if frame.empty:  # whatever GX answered, and one line says it all
        said = f"saw 0 rows, wanted at least 1; none of {len(answered)} expectations can be judged"
        return [Finding(split, "rows", "refuse", "no_rows", said, "An empty split judges nothing.", 0)]
    found = (_finding(split, frame, entry, expectation, result) for entry, expectation, result in answered)
    return [finding for finding in found if finding is not None]


def _finding(split: str, frame: pd.DataFrame, entry: Entry, expectation: Any, result: Any) -> Finding | None:
    """None if all is well.

    Where rows are to be set aside, those at fault are, whether or not the expectation as a whole was met. It refuses the set
    only if the suite gives it a `mostly` of its own and that was missed; else what is set aside counts against
    `validation.max_quarantined`. An expectation that could not be judged always refuses.
    """
    line = judge(entry, result, frame)
    answer = (result.result if result else None) or {}
    rows = unexpected_rows(answer)
    action = action_of(entry, expectation)
    if action == "quarantine" and rows and (line is None or "mostly" not in entry.kwargs):
        said = line or f"{entry}: set aside {len(rows)} of {len(frame)} rows"
    elif line is not None:
        said, action = line, "refuse"
    else:
        return None
    return Finding(
        split, str(entry), action, reason_of(entry, expectation), said, str(entry.meta["notes"]),
        evidence=answer.get("evidence", {}), **find_rows(frame, rows, entry.column, answer.get("why", {})),
    )  # fmt: skip


def action_of(entry: Entry, expectation: Any) -> Action:
    """`meta.action` of the suite; else what the expectation says of itself; else (all built-in ones) refuse."""
    return cast(Action, entry.meta.get("action") or getattr(expectation, "action", "refuse"))


def reason_of(entry: Entry, expectation: Any) -> str:
    """`meta.reason` of the suite; else the expectation's own word; else its type without the first words."""
    own = entry.meta.get("reason") or getattr(expectation, "reason", "")
    return str(own or entry.type.removeprefix("expect_").removeprefix("column_").removeprefix("values_"))
