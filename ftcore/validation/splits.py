"""All that a data set must stand up to before rows are prepared from it: the suite on every split, then what concerns several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftcore.data.faults import RowFault
from ftcore.data.leakage import PARAPHRASE, Embed, Leak, count_by_rule, leaks_between
from ftcore.data.reading import malformed_faults
from ftcore.records import SplitReport
from ftcore.spec import LeakageSpec, Split, ValidationSpec
from ftcore.validation.checks import cross_split_faults, leak_faults, quarantine_faults
from ftcore.validation.expectations import run_suite
from ftcore.validation.findings import Finding
from ftcore.validation.suites import ABOUT_LEAKS, Suite
from ftcore.validation.surroundings import Surroundings

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Findings:
    """What was found in a data set."""

    reports: tuple[SplitReport, ...]
    leaks: tuple[Mapping[str, Any], ...]
    """{rule, test_id, train_id, score}, sorted by test row; an id is None where the rule concerns one row."""
    num_leaked: Mapping[str, int]
    """Leaked test rows by rule."""
    num_leaked_validation: Mapping[str, int]
    """Validation rows with a twin in train, by rule: no reason to refuse, for prepare takes the twins out of train."""
    refused: tuple[str, ...]
    """Why the set is unfit; empty if it is fit."""
    unfit: frozenset[str]
    """Ids of rows that make it unfit, as far as single rows do."""
    quarantine: Mapping[str, str]
    """Row id -> reason, for rows that expectations want set aside."""
    found: tuple[Finding, ...]
    """What expectations found, with row ids and examples (row text: for a file, not for records or messages)."""
    paraphrases: tuple[Mapping[str, Any], ...] = ()
    """Pairs like `leaks` that are told of and count for nothing (`leakage.paraphrases: report`)."""


def judge_splits(
    suite: Suite,
    splits: Mapping[Split, Sequence[dict[str, Any]]],
    leakage: LeakageSpec,
    docs: Path,
    around: Surroundings = Surroundings(),
    max_quarantined: float = ValidationSpec().max_quarantined,
    embed: Embed | None = None,
    malformed: Sequence[RowFault] = (),
) -> Findings:
    """Judge a data set as a whole.

    Args:
        suite: What is expected of each split.
        splits: Rows in canonical columns of train, test and, where there is one, validation.
        leakage: Rules, and the share of test rows that may have leaked.
        docs: Folder for the Data Docs.
        around: What expectations may need besides (`surroundings_of`); the leaks found here are added.
        max_quarantined: Share of all rows that expectations may set aside before the set is refused.
        embed: For paraphrases, which count as leaks only where `leakage.paraphrases` says so; None: not looked for.
        malformed: Rows that reading left out; too many of them are a reason to refuse.

    Raises:
        UsageError: The suite or a leakage rule is faulty.
    """
    validation = splits.get("validation", ())
    training, test = [*splits["train"], *validation], splits["test"]
    counts = leakage.paraphrases == "leak"
    rules = [*leakage.rules, *([PARAPHRASE] if counts and embed is not None else [])]
    everything = leaks_between(training, test, leakage, embed)
    leaks = [leak for leak in everything if counts or leak.rule != PARAPHRASE]
    told_only = [leak for leak in everything if not counts and leak.rule == PARAPHRASE]
    pairs = _by_id(leaks, training, test)
    result = run_suite(suite, splits, docs, replace(around, leaks=pairs, max_leaked=leakage.max_leaked))
    failed = [f"{report.split}: {line}" for report in result.reports for line in report.failed]
    across = cross_split_faults(splits)
    leaked = leak_faults(leaks, len(test), leakage.max_leaked)
    told = any(item.expectation == ABOUT_LEAKS and item.action == "refuse" for item in result.findings)
    num_rows = sum(map(len, splits.values()))
    too_many = malformed_faults(malformed, num_rows, max_quarantined)
    crowded = quarantine_faults(result.quarantine, num_rows, max_quarantined)
    twins = {str(pair[side]) for pair in pairs for side in ("test_id", "train_id") if pair[side]} if leaked else set()
    return Findings(
        reports=result.reports,
        leaks=pairs,
        num_leaked=count_by_rule(leaks, rules),
        num_leaked_validation=count_by_rule(
            leaks_between(splits["train"], validation, leakage, embed if counts else None), rules
        ),
        refused=(*too_many, *failed, *across, *(() if told else leaked), *crowded),
        unfit=result.unfit | twins | (frozenset(result.quarantine) if crowded else frozenset()),
        quarantine=result.quarantine,
        found=result.findings,
        paraphrases=_by_id(told_only, training, test),
    )


def _by_id(leaks: Sequence[Leak], training: Sequence[Row], test: Sequence[Row]) -> tuple[Mapping[str, Any], ...]:
    return tuple(
        {
            "rule": leak.rule,
            "test_id": None if leak.test_row is None else test[leak.test_row]["id"],
            "train_id": None if leak.train_row is None else training[leak.train_row]["id"],
            "score": leak.score,
        }
        for leak in leaks
    )
