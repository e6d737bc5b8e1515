"""What the data report shows of leaks: counts, pairs to read, and how alike the rows are by nature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from string import punctuation
from typing import Any

from ftcore.data.cleaning import match_keys
from ftcore.data.leakage import Leak, leaked_rows
from ftcore.data.leakage.background import nearest_similarity
from ftcore.data.leakage.evidence import Run, align
from ftcore.data.leakage.labels import conflicting_leaks
from ftcore.data.personal.examples import mask_personal
from ftcore.spec import Split
from ftcore.validation.findings import NUM_EXAMPLES
from ftcore.validation.report.sampling import sample
from ftcore.validation.splits import Findings

Row = Mapping[str, Any]
STEPS = tuple(round(0.5 + step / 40, 3) for step in range(21))
_MAX_CHARS, _WORD_CHARS = 6_000, 80
_SHARED_RUN, _LEAD = 6, 10  # words
_COMPARED = (1_000, 10_000)
"""Test and train rows in the similarity curve, at most."""


@dataclass(frozen=True)
class Pair:
    """One hit as a person may read it: personal data masked, long runs cut."""

    rule: str
    test_id: str | None
    train_id: str | None
    score: float
    runs: tuple[Run, ...]
    labels: tuple[str, str] | None = None
    """Of the train and the test row, where they differ."""


@dataclass(frozen=True)
class LeakFacts:
    """Leaks in figures and pairs."""

    num_test: int
    num_leaked: int
    """Test rows hit by any rule."""
    num_dropped: int
    """Train and validation rows they leaked through; prepare drops those of train."""
    by_rule: Mapping[str, int]
    """Test rows per rule."""
    by_rule_validation: Mapping[str, int]
    pairs: Mapping[str, tuple[Pair, ...]]
    """Up to ten per rule, spread evenly over the scores."""
    num_conflicting: int
    """Pairs that say nearly the same under different labels."""
    conflicting: tuple[Pair, ...]
    similarity: float
    """What makes long rows near-duplicates (`leakage.similarity`)."""
    among_test: tuple[tuple[float, float], ...] = ()
    """(similarity, share of long test rows that have another test row at least so similar)."""
    with_train: tuple[tuple[float, float], ...] = ()
    """The same against the rows of train and validation."""
    num_long: int = 0
    """Test rows long enough for the curve."""
    share_compared: float = 1.0
    """Of the train rows, in the curve."""
    num_paraphrased: int = 0
    """Test rows with a paraphrase that is only told of."""
    paraphrases: tuple[Pair, ...] = ()
    """Up to ten of them."""


def gather_leaks(splits: Mapping[Split, Sequence[Row]], found: Findings, similarity: float) -> LeakFacts:
    """Facts from the leaks that were found by id. Of rows that share an id the first one is shown."""
    training, test = [*splits["train"], *splits.get("validation", ())], splits["test"]
    train_at, test_at = _positions(training), _positions(test)
    leaks, told_only = (
        [
            Leak(leak["rule"], _at(test_at, leak["test_id"]), _at(train_at, leak["train_id"]), leak["score"])
            for leak in items
        ]
        for items in (found.leaks, found.paraphrases)
    )
    by_rule: dict[str, list[Leak]] = defaultdict(list)
    for leak in leaks:
        by_rule[leak.rule].append(leak)
    conflicting = conflicting_leaks(leaks, training, test)
    among, against, num_long = _curves(training, test)
    return LeakFacts(
        num_test=len(test),
        num_leaked=len({leak["test_id"] for leak in found.leaks} - {None}),
        num_dropped=len({leak["train_id"] for leak in found.leaks} - {None}),
        by_rule=found.num_leaked,
        by_rule_validation=found.num_leaked_validation,
        pairs={rule: _pairs(by_rule[rule], training, test) for rule in found.num_leaked if rule in by_rule},
        num_conflicting=len(conflicting),
        conflicting=_pairs(conflicting, training, test),
        similarity=similarity,
        among_test=among,
        with_train=against,
        num_long=num_long,
        share_compared=min(1.0, _COMPARED[1] / max(1, len(training))),
        num_paraphrased=len(leaked_rows(told_only)),
        paraphrases=_pairs(told_only, training, test),
    )


def _positions(rows: Sequence[Row]) -> dict[str, int]:
    return {str(row.get("id")): number for number, row in reversed(list(enumerate(rows)))}


def _at(positions: Mapping[str, int], row_id: Any) -> int | None:
    return None if row_id is None else positions.get(str(row_id))


def _pairs(hits: Sequence[Leak], training: Sequence[Row], test: Sequence[Row]) -> tuple[Pair, ...]:
    ordered = sorted(hits, key=lambda leak: (-leak.score, leak.test_row or 0, leak.train_row or 0))
    count = min(NUM_EXAMPLES, len(ordered))
    places = [round(number * (len(ordered) - 1) / max(1, count - 1)) for number in range(count)]
    return tuple(
        _pair(
            leak,
            None if leak.train_row is None else training[leak.train_row],
            None if leak.test_row is None else test[leak.test_row],
        )
        for leak in (ordered[place] for place in places)
    )


def _pair(leak: Leak, train: Row | None, test: Row | None) -> Pair:
    column = {"group": "group", "time": "timestamp"}.get(leak.rule, "text")
    sides = [None if row is None else str(row.get(column) or "") for row in (train, test)]
    first, second = (next((side for side in order if side is not None), "") for order in (sides, sides[::-1]))
    first, second = map(_masked, _shared_part(first, second))
    labels = (str((train or {}).get("label")), str((test or {}).get("label")))
    return Pair(
        rule=leak.rule,
        test_id=None if test is None else str(test.get("id")),
        train_id=None if train is None else str(train.get("id")),
        score=leak.score,
        runs=tuple(_cut(align(first, second))),
        labels=labels if train is not None and test is not None and labels[0] != labels[1] else None,
    )


def _shared_part(first: str, second: str) -> tuple[str, str]:
    """Texts too long to be shown from their start begin a little before the first run of words that both have."""
    if max(len(first), len(second)) <= _MAX_CHARS:
        return first, second
    sides = [first.split(), second.split()]
    plain = [[word.strip(punctuation).casefold() for word in words] for words in sides]
    size = min(_SHARED_RUN, *map(len, plain))
    if not size:
        return first, second
    grams, searched = ([tuple(words[at : at + size]) for at in range(len(words) - size + 1)] for words in plain)
    places = {gram: at for at, gram in reversed(list(enumerate(grams)))}
    for at, gram in enumerate(searched):
        if gram in places:
            starts = (max(0, places[gram] - _LEAD), max(0, at - _LEAD))
            left, right = (" ".join(words[start:]) for words, start in zip(sides, starts, strict=True))
            return left, right
    return first, second


def _masked(text: str) -> str:
    """Cut before masking: the patterns take quadratic time on one endless word."""
    words = [word[:_WORD_CHARS] for word in text[:_MAX_CHARS].split()]
    return mask_personal(" ".join(words))


def _cut(runs: Sequence[Run], context: int = 12, most: int = 160) -> list[Run]:
    """Long runs without their middle, and at most so many words in all."""
    kept: list[Run] = []
    room = most
    for run in runs:
        if room <= 0:
            kept.append(Run("same", ("…",)))
            break
        words = run.words if len(run.words) <= 3 * context else (*run.words[:context], "…", *run.words[-context:])
        kept.append(Run(run.kind, words))
        room -= len(words)
    return kept


_Curve = tuple[tuple[float, float], ...]


def _curves(training: Sequence[Row], test: Sequence[Row]) -> tuple[_Curve, _Curve, int]:
    """Shares of long test rows with a similar row in test and in train; empty where no test row is long."""
    test_keys, train_keys = (
        [key[:_MAX_CHARS] for key in dict.fromkeys(match_keys(sample(rows, most))) if key]
        for rows, most in zip((test, training), _COMPARED, strict=True)
    )
    among = nearest_similarity(test_keys)
    if not len(among.nearest):
        return (), (), 0
    against = nearest_similarity(test_keys, train_keys)
    among_test, with_train = (tuple((step, side.share(step)) for step in STEPS) for side in (among, against))
    return among_test, with_train, len(among.nearest)
