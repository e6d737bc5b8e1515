"""What the data report shows, as plain values: gathered here, laid out in `layout`.

Lists are cut, row text is masked and cut (`personal.examples.show`); names from the data (labels, sources, ids) are as they came.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftcore.data.leakage.labels import MetadataProbe, probe_metadata
from ftcore.data.tokens import count_tokens
from ftcore.records import DatasetVersion
from ftcore.spec import FineTuneSpec, Split
from ftcore.validation.findings import Finding
from ftcore.validation.profiles import compare_profiles
from ftcore.validation.report.leaks import LeakFacts, gather_leaks
from ftcore.validation.report.sampling import sample
from ftcore.validation.splits import Findings
from ftcore.validation.suites import Suite
from ftcore.validation.surroundings import Surroundings

Row = Mapping[str, Any]
MAX_NAMES = 40
"""Labels and sources named in charts; the others are added up."""
_PROBED, _TOKENISED, _IDENTIFIED = 1_000, 2_000, 500
_LANGUAGE = "expect_column_text_language_to_be_in"


@dataclass(frozen=True)
class SplitFacts:
    """One split in figures."""

    name: str
    num_rows: int
    num_expectations: int
    labels: Mapping[str, int]
    sources: Mapping[str, int]
    num_words: tuple[int, ...]
    """Words of the text, row by row."""
    num_answer_words: tuple[int, ...] = ()
    """Words of the completion, where the task has one."""
    num_tokens: tuple[int, ...] = ()
    """Tokens of the text of at most 2,000 rows; empty where no tokenizer is known."""
    languages: Mapping[str, int] = field(default_factory=dict)
    """Of at most 500 rows; asked only where the suite asks for languages, since the identifier is loaded then."""
    aside: Mapping[str, int] = field(default_factory=dict)
    """Rows set aside, by reason."""


@dataclass(frozen=True)
class Changed:
    """One split beside the same split of the last accepted version."""

    name: str
    rows: tuple[int, int]
    """Then and now, here and below."""
    length: tuple[Sequence[int], Sequence[int]]
    """Quartiles of words per row."""
    factor: float
    """Largest factor between them."""
    label_shift: float
    vocabulary: float
    new_sources: tuple[str, ...]


@dataclass(frozen=True)
class DataReport:
    """All that the report shows."""

    name: str
    """Of the spec."""
    task: str
    version: str
    """Of the data: digest of its manifest."""
    revision: str
    suite: str
    refused: tuple[str, ...]
    """Why the data may not be trained on; empty: it may."""
    splits: tuple[SplitFacts, ...]
    findings: tuple[Finding, ...]
    leaks: LeakFacts
    limits: Mapping[str, float]
    """max_leaked, max_quarantined (shares), max_length (tokens)."""
    probes: tuple[MetadataProbe, ...] = ()
    changes: tuple[Changed, ...] | None = None
    """None: no accepted version is known."""
    in_store: bool = True
    """The page lies beside the other files of a pipeline's output; False: it is about two files, and stands alone."""


def collect(
    spec: FineTuneSpec,
    dataset: DatasetVersion,
    suite: Suite,
    splits: Mapping[Split, Sequence[Row]],
    found: Findings,
    around: Surroundings,
    profile: Mapping[str, Any],
) -> DataReport:
    """Gather the report.

    Args:
        splits: The rows that were judged.
        found: What `judge_splits` said of them.
        around: What expectations were given: tokenizer, accepted profile.
        profile: `profile_splits` of the rows.
    """
    reports = {report.split: report for report in found.reports}
    return DataReport(
        name=spec.name,
        task=spec.task,
        version=dataset.digest,
        revision=dataset.rev,
        suite=suite.name,
        refused=found.refused,
        splits=tuple(
            _facts_of_split(
                split, rows, reports[split].num_expectations if split in reports else 0, found.quarantine, suite, around
            )
            for split, rows in splits.items()
        ),
        findings=found.found,
        leaks=gather_leaks(splits, found, spec.leakage.similarity),
        limits={
            "max_leaked": spec.leakage.max_leaked,
            "max_quarantined": spec.validation.max_quarantined,
            "max_length": spec.training.max_length,
        },
        probes=tuple(probe_metadata(sample([*splits["train"], *splits.get("validation", ())], _PROBED))),
        changes=None if around.accepted is None else _changes(around.accepted, profile),
    )


def _facts_of_split(
    split: str, rows: Sequence[Row], num_expectations: int, quarantine: Mapping[str, str], suite: Suite, around: Surroundings
) -> SplitFacts:  # fmt: skip
    texts = [str(row.get("text") or "") for row in rows]
    answers = [str(row["completion"]) for row in rows if row.get("completion")]
    tokenised = sample(texts, _TOKENISED) if around.tokenizer else []
    return SplitFacts(
        name=split,
        num_rows=len(rows),
        num_expectations=num_expectations,
        labels=_counts(rows, "label"),
        sources=_counts(rows, "source"),
        num_words=tuple(len(text.split()) for text in texts),
        num_answer_words=tuple(len(answer.split()) for answer in answers),
        num_tokens=tuple(count_tokens(tokenised, around.tokenizer)) if around.tokenizer else (),
        languages=_languages(texts) if any(entry.type == _LANGUAGE for entry in suite.entries) else {},
        aside=dict(Counter(quarantine[row_id] for row in rows if (row_id := str(row.get("id"))) in quarantine)),
    )


def _counts(rows: Sequence[Row], column: str) -> dict[str, int]:
    return dict(Counter(str(row[column]) for row in rows if row.get(column)))


def _languages(texts: Sequence[str]) -> dict[str, int]:
    from ftcore.validation.custom.texts import language_identifier

    classify = language_identifier()
    long_enough = [text for text in texts if len(text) >= 20]
    answers = (classify(text[:500]) for text in sample(long_enough, _IDENTIFIED))
    return dict(Counter(language if sure >= 0.8 else "uncertain" for language, sure in answers))


def _changes(accepted: Mapping[str, Any], profile: Mapping[str, Any]) -> tuple[Changed, ...]:
    changes = []
    for split, now in profile["splits"].items():
        before = accepted["splits"].get(split)
        if before is None:
            continue
        change = compare_profiles(before, now)
        changes.append(
            Changed(
                name=split,
                rows=(before["num_rows"], now["num_rows"]),
                length=(before["length"], now["length"]),
                factor=change.length,
                label_shift=change.label_shift,
                vocabulary=change.vocabulary,
                new_sources=tuple(sorted(set(now["sources"]) - set(before["sources"]))[:MAX_NAMES]),
            )
        )
    return tuple(changes)
