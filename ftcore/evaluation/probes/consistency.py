"""Does a model say the same when asked again? Drawn answers to one prompt are compared with each other.

After SelfCheckGPT (Manakul et al. 2023): what a model knows it repeats, what it makes up changes from draw to draw. A model may
also be consistently wrong, or rightly phrase things in many ways: read it beside the scores.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations

import numpy as np

from ftcore.evaluation.generation.row_statistics import token_f1
from ftcore.evaluation.probes.facts import Readings, facts_of, same_date
from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.evaluation.rows import Ints

SEED = 20_263


def drawn_rows(num_rows: int, wanted: int) -> list[int]:
    """Which holdout rows are asked: the same for every model and run."""
    return sorted(np.random.default_rng(SEED).choice(num_rows, min(wanted, num_rows), replace=False).tolist())


def self_consistency(samples: Mapping[str, Sequence[Sequence[str]]], groups: Ints | None) -> list[Measure]:
    """Likeness and contradictions.

    Args:
        samples: By role: [draws][rows] answers; two draws or more.
        groups: [rows].
    """
    rows = {role: list(zip(*draws, strict=True)) for role, draws in samples.items()}
    alike = {role: ratio([similarity(texts) for texts in found]) for role, found in rows.items()}
    at_odds = {role: share([contradict(texts) for texts in found]) for role, found in rows.items()}
    return [
        Measure("self_consistency", "similarity", "mean token F1 between drawn answers to one prompt", alike, "ratio", groups,
                less_is_better=False),
        Measure("self_consistency", "contradictions", "prompts whose drawn answers are at odds", at_odds, "share", groups),
    ]  # fmt: skip


def similarity(texts: Sequence[str]) -> float:
    """Mean token F1 of all pairs, 0 to 1."""
    return float(np.mean([token_f1(*pair) for pair in combinations(texts, 2)]))


def contradict(texts: Sequence[str]) -> bool:
    """Two answers each state a number or date that the other does not. One that merely says less contradicts nothing."""
    stated = [facts_of(text) for text in texts]
    return any(
        _at_odds(one.numbers, other.numbers, _same_number) or _at_odds(one.dates, other.dates, same_date)
        for one, other in combinations(stated, 2)
    )


def _same_number(one: Readings, other: Readings) -> bool:
    return bool(one & other)


def _at_odds(one: frozenset[Readings], other: frozenset[Readings], same: Callable[[Readings, Readings], bool]) -> bool:
    return _lacks(one, other, same) and _lacks(other, one, same)


def _lacks(one: frozenset[Readings], other: frozenset[Readings], same: Callable[[Readings, Readings], bool]) -> bool:
    """Whether something in `one` equals nothing in `other`."""
    return any(not any(same(item, seen) for seen in other) for item in one)
