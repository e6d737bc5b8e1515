"""Charts of the data report: what the rows look like, split by split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ftcore.html.charts import Bar, bars, histogram, stacked, top
from ftcore.html.elements import Element, element, section
from ftcore.validation.report.facts import MAX_NAMES, DataReport, SplitFacts


def chart_section(report: DataReport) -> Element:
    """Rows per label, lengths, sources, languages, and what becomes of the rows."""
    splits = [split for split in report.splits if split.num_rows]
    names = [split.name for split in report.splits]
    limit = report.limits["max_length"]
    lengths = [
        histogram("Words per text", {split.name: split.num_words for split in report.splits}, "words"),
        histogram("Words per answer", {split.name: split.num_answer_words for split in report.splits}, "words")
        if any(split.num_answer_words for split in splits)
        else None,
        histogram(
            "Tokens per text", {split.name: split.num_tokens for split in report.splits}, "tokens",
            mark=(limit, f"cut off at {limit:g}"),
        )
        if any(split.num_tokens for split in splits)
        else None,
    ]  # fmt: skip
    stacks = [
        _stack("Rows per source", {split.name: split.sources for split in splits}),
        _stack(
            "Languages", {split.name: split.languages for split in splits}, "At most 500 texts per split were asked."
        ),
        _stack("What becomes of the rows", {split.name: _fates(split) for split in splits})
        if any(split.aside for split in splits)
        else None,
    ]
    return section("How the data look", _labels(splits, names), element("div", *lengths, class_="two"), *stacks)


def _labels(splits: Sequence[SplitFacts], names: Sequence[str]) -> Element | None:
    labelled = [split for split in splits if split.labels]
    if not labelled:
        return None
    totals: dict[str, float] = {}
    for split in labelled:
        for label, count in split.labels.items():
            totals[label] = totals.get(label, 0) + count
    named = top(totals, MAX_NAMES)
    counts = [
        [
            split.labels.get(label, 0)
            if label in totals
            else sum(count for other, count in split.labels.items() if other not in named)
            for label in named
        ]
        for split in labelled
    ]
    rows = [
        Bar(
            label,
            tuple(side[at] / max(1, sum(split.labels.values())) for side, split in zip(counts, labelled, strict=True)),
            " · ".join(f"{side[at]:,}" for side in counts),
        )
        for at, label in enumerate(named)
    ]
    colours = [f"s{list(names).index(split.name)}" for split in labelled]
    note = "Bars are shares of the split, figures are rows, in the order of the key."
    return bars("Rows per label", rows, [split.name for split in labelled], colours=colours, note=note)


def _stack(title: str, rows: Mapping[str, Mapping[str, int]], note: str | None = None) -> Element | None:
    kept = {name: parts for name, parts in rows.items() if parts}
    return stacked(title, kept, note=note) if kept else None


def _fates(split: SplitFacts) -> dict[str, int]:
    return {"used": split.num_rows - sum(split.aside.values()), **split.aside}
