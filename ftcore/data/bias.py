"""Who is in the data, and is anybody labelled differently: counts, label rates and gaps with their intervals, never without n.

A gap is no proof of unfairness (a channel may truly carry other questions); it says where to look.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ftcore.data.rows import texts_of
from ftcore.spec import BiasSpec

Row = Mapping[str, Any]
# Short on purpose: words by which people name who somebody is, in English, frequent enough to be counted. A start, no census;
# `prepare.bias.terms` takes your own list, in your data's language.
DEFAULT_TERMS: dict[str, tuple[str, ...]] = {
    "women": ("woman", "women", "girl", "girls", "female", "mother", "mum", "mom", "wife", "daughter", "sister", "lady"),
    "men": ("man", "men", "boy", "boys", "male", "father", "dad", "husband", "son", "brother", "gentleman"),
    "lgbt": ("gay", "lesbian", "bisexual", "transgender", "trans", "queer", "nonbinary", "non-binary"),
    "old": ("elderly", "old age", "pensioner", "pensioners", "retired", "senior citizen", "grandmother", "grandfather"),
    "young": ("teenager", "teenagers", "student", "students", "child", "children", "kid", "kids"),
    "disability": ("disabled", "disability", "wheelchair", "blind", "deaf", "autistic", "autism", "dyslexic", "dyslexia"),
    "christian": ("christian", "christians", "catholic", "church", "protestant"),
    "muslim": ("muslim", "muslims", "islam", "islamic", "mosque"),
    "jewish": ("jew", "jews", "jewish", "synagogue"),
    "hindu_buddhist_sikh": ("hindu", "hindus", "buddhist", "buddhists", "sikh", "sikhs"),
    "black": ("black people", "black man", "black woman", "african", "africans", "african american"),
    "white": ("white people", "white man", "white woman", "caucasian"),
    "asian": ("asian", "asians", "chinese", "indian", "indians", "pakistani", "japanese", "korean"),
    "latino": ("latino", "latina", "latinos", "hispanic", "hispanics", "mexican", "mexicans"),
    "migrant": ("immigrant", "immigrants", "migrant", "migrants", "refugee", "refugees", "foreigner", "foreigners"),
}  # fmt: skip
_MAX_VALUES = 50


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How often one label is given inside a group, and to all other rows."""

    label: str
    rate: float
    rate_rest: float
    gap: float
    """rate - rate_rest."""
    ci_low: float
    ci_high: float
    """Newcombe's interval of the gap (two Wilson intervals combined)."""
    p_adjusted: float
    """Fisher's exact test, Holm over all gaps of the report."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """Rows that share a value of a column, or that hold a term."""

    kind: str
    """`column:NAME` or `term`."""
    name: str
    n: int
    n_rest: int
    gaps: tuple[Gap, ...] = ()
    """Largest first; empty: too few rows to compare, or no labels."""


@dataclass(frozen=True, kw_only=True)
class BiasReport:
    """All groups with their sizes, and what could not be looked at."""

    num_rows: int
    confidence: float
    groups: tuple[Group, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Column -> why it was left out."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def num_gaps(self) -> int:
        """Gaps that are significant at 1 - confidence, after Holm."""
        return sum(gap.p_adjusted < 1 - self.confidence for group in self.groups for gap in group.gaps)


def bias_report(rows: Sequence[Row], settings: BiasSpec) -> BiasReport:
    """Compare each group with all other rows, label by label. Rows without labels (generation) are counted only."""
    groups, skipped = _column_groups(rows, settings.columns)
    groups |= _term_groups(rows, settings.terms)
    labels = [row.get("label") for row in rows]
    tests: list[tuple[tuple[str, str], str, int, int, int, int, float]] = []
    totals = Counter(label for label in labels if label)
    for key, members in sorted(groups.items()):
        n, rest = len(members), len(rows) - len(members)
        if min(n, rest) < settings.min_rows:
            continue
        inside = Counter(labels[number] for number in members)
        for label in sorted(totals):
            hits, others = inside[label], totals[label] - inside[label]
            tests.append((key, label, hits, n, others, rest, _fisher(hits, n, others, rest)))
    adjusted = holm([test[-1] for test in tests])
    gaps: dict[tuple[str, str], list[Gap]] = {}
    for (key, label, hits, n, others, rest, _), p_value in zip(tests, adjusted, strict=True):
        low, high = newcombe(hits, n, others, rest, settings.confidence)
        a, b = hits / n, others / rest
        gap = Gap(label=label, rate=a, rate_rest=b, gap=a - b, ci_low=low, ci_high=high, p_adjusted=p_value)
        gaps.setdefault(key, []).append(gap)
    return BiasReport(
        num_rows=len(rows),
        confidence=settings.confidence,
        groups=tuple(
            Group(
                kind=kind, name=name, n=len(members), n_rest=len(rows) - len(members),
                gaps=tuple(sorted(gaps.get((kind, name), ()), key=lambda gap: (-abs(gap.gap), gap.label))),
            )
            for (kind, name), members in sorted(groups.items())
        ),
        skipped=skipped,
    )  # fmt: skip


Members = dict[tuple[str, str], list[int]]
"""(kind, name) -> row numbers"""


def _column_groups(rows: Sequence[Row], columns: Iterable[str]) -> tuple[Members, dict[str, str]]:
    groups: Members = {}
    skipped = {}
    for column in columns:
        found: Members = {}
        for number, row in enumerate(rows):
            if value := row.get(column):
                found.setdefault((f"column:{column}", str(value)), []).append(number)
        if not found:
            skipped[column] = "no row has a value"
        elif len(found) > _MAX_VALUES:
            skipped[column] = f"{len(found)} values, wanted at most {_MAX_VALUES}"
        else:
            groups |= found
    return groups, skipped


def _term_groups(rows: Sequence[Row], terms: Any) -> Members:
    lists: Mapping[str, Iterable[str]] = {} if terms == "none" else DEFAULT_TERMS if terms == "default" else terms
    patterns = {
        name: re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, sorted(words, key=len, reverse=True)))})(?!\w)")
        for name, words in (
            (name, [word.casefold() for word in words if word.strip()]) for name, words in lists.items()
        )
        if words
    }
    groups: Members = {("term", name): [] for name in patterns}
    for number, row in enumerate(rows):
        text = "\n".join(texts_of(row)).casefold()
        for name, pattern in patterns.items():
            if pattern.search(text):
                groups["term", name].append(number)
    return groups


def wilson(hits: int, n: int, confidence: float) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927)."""
    from scipy.special import ndtri

    z = float(ndtri(0.5 + confidence / 2))
    share = hits / n
    middle, half = share + z * z / (2 * n), z * ((share * (1 - share) + z * z / (4 * n)) / n) ** 0.5
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def newcombe(hits: int, n: int, others: int, rest: int, confidence: float) -> tuple[float, float]:
    """Interval of hits/n - others/rest (Newcombe 1998, method 10)."""
    a, b = hits / n, others / rest
    (low_a, high_a), (low_b, high_b) = wilson(hits, n, confidence), wilson(others, rest, confidence)
    gap = a - b
    return gap - ((a - low_a) ** 2 + (high_b - b) ** 2) ** 0.5, gap + ((high_a - a) ** 2 + (b - low_b) ** 2) ** 0.5


def _fisher(hits: int, n: int, others: int, rest: int) -> float:
    from scipy.stats import fisher_exact

    return float(fisher_exact([[hits, n - hits], [others, rest - others]]).pvalue)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's adjusted p-values (Holm 1979), in the order given."""
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, number in enumerate(sorted(range(len(p_values)), key=lambda number: p_values[number])):
        highest = max(highest, min(1.0, p_values[number] * (len(p_values) - rank)))
        adjusted[number] = highest
    return adjusted
