"""Runs the rules over a stream of train rows; the test side is held in memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from ftcore.data.cleaning import match_keys
from ftcore.data.leakage.columns import Keys, SameKey, SeenLater
from ftcore.data.leakage.leaks import Chunk, Leak, Row
from ftcore.data.leakage.near import COMMON, CONTAINED, NEAR, PASSAGE, SIMILARITY, Match, NearIndex
from ftcore.data.leakage.paraphrases import MIN_SIMILARITY, PARAPHRASE, Embed, Paraphrases
from ftcore.data.leakage.targets import RULE as TARGET
from ftcore.data.leakage.targets import TargetInPrompt
from ftcore.data.trained_rows import RULE as REUSED
from ftcore.errors import UsageError
from ftcore.spec import LeakageSpec

TEXT_RULES = ("exact", "normalised", NEAR, CONTAINED, PASSAGE)
"""Weakest last: a text rule reports only pairs of which the rules before it have not told both rows."""
OTHER_RULES = (TARGET, "group", "time", REUSED)
MEANINGS = {
    "exact": "the same text",
    "normalised": "the same but for case, punctuation and white space",
    NEAR: "nearly the same words in the same order",
    CONTAINED: "one row inside a longer one",
    PASSAGE: "long rows with 13 words in a row in common",
    PARAPHRASE: "perhaps the same in other words (embeddings)",
    TARGET: "the text gives its own label or answer away",
    "group": "the same group (user, document, conversation) on both sides",
    "time": "train is not older than test",
    REUSED: "an earlier training of this model has seen the row",
}
"""What each rule finds, for people."""
_CHUNK = 20_000


class _Search(Protocol):
    def search(self, chunk: Chunk) -> Iterable[Leak]: ...
    def finish(self) -> Iterable[Leak]: ...


def find_leaks(
    train: Iterable[Row],
    test: Sequence[Row],
    rules: Sequence[str],
    similarity: float = SIMILARITY,
    reused: Iterable[int] = (),
    embed: Embed | None = None,
    cosine: float = MIN_SIMILARITY,
) -> list[Leak]:
    """Every leaked test row and every train row it leaked through, by rule, sorted by test row.

    Time and memory grow with the train rows plus the hits: train is read once, in chunks, and may be a generator.

    Args:
        train: Rows with `text` and, for the rules that need them, `label` or `completion`, `group`, `timestamp`.
        test: Rows of the same form.
        rules: Names out of TEXT_RULES and OTHER_RULES, and `paraphrase`.
        similarity: What two rows of 15 words and more need to be near-duplicates, 0 to 1.
        reused: Test rows that an earlier training has seen (`TrainedRows.seen`).
        embed: For the rule `paraphrase`, which does nothing without it.
        cosine: What two embeddings need to be paraphrases, 0 to 1.

    Raises:
        UsageError: An unknown rule.
    """
    known = (*TEXT_RULES, PARAPHRASE, *OTHER_RULES)
    unknown = sorted(set(rules) - set(known))
    if unknown:
        raise UsageError(f"Unknown leakage rule {', '.join(unknown)}; known: {', '.join(known)}.")
    chunks = _chunks(train)
    first = next(chunks, Chunk(0, ()))
    searches = _searches(rules, first, test, similarity)
    if embed is not None and PARAPHRASE in rules:
        searches.append(Paraphrases(embed, test, cosine))
    found: dict[str, list[Leak]] = {rule: [] for rule in known}
    if REUSED in rules:
        found[REUSED] = [Leak(REUSED, number, None, 1.0) for number in reused]
    for chunk in itertools.chain([first], chunks):
        for search in searches:
            for leak in search.search(chunk):
                found[leak.rule].append(leak)
    for search in searches:
        for leak in search.finish():
            found[leak.rule].append(leak)
    leaks = [*_told_once(found, (*TEXT_RULES, PARAPHRASE)), *(leak for rule in OTHER_RULES for leak in found[rule])]
    return sorted(leaks, key=lambda leak: (_order(leak.test_row), _order(leak.train_row), leak.rule))


def leaks_between(
    train: Iterable[Row], test: Sequence[Row], leakage: LeakageSpec, embed: Embed | None = None
) -> list[Leak]:
    """`find_leaks` with the settings of a spec.

    Args:
        embed: Also look for paraphrases, whatever `leakage.paraphrases` says: what they count for is the caller's business.
    """
    rules = [*leakage.rules, *([PARAPHRASE] if embed is not None else [])]
    return find_leaks(train, test, rules, leakage.similarity, embed=embed, cosine=leakage.cosine)


def _searches(rules: Sequence[str], sample: Chunk, test: Sequence[Row], similarity: float) -> list[_Search]:
    keys: dict[str, Keys] = {
        "exact": lambda chunk: [row["text"] for row in chunk.rows],
        "normalised": lambda chunk: chunk.keys,
        "group": lambda chunk: [row.get("group") for row in chunk.rows],
    }
    searches: list[_Search] = [SameKey(rule, key, test) for rule, key in keys.items() if rule in rules]
    if near := [rule for rule in (NEAR, CONTAINED, PASSAGE) if rule in rules]:
        searches.append(_Near(near, sample, test, similarity))
    if TARGET in rules:
        searches.append(TargetInPrompt(test))
    if "time" in rules:
        searches.append(SeenLater(test))
    return searches


class _Near:
    """NearIndex over rows that repeat: each normalised text is compared once, and every row that has it is told."""

    def __init__(self, rules: Sequence[str], sample: Chunk, test: Sequence[Row], similarity: float) -> None:
        self._rules = frozenset(rules)
        self._test: dict[str, list[int]] = {}
        for number, key in enumerate(match_keys(test)):
            if key:
                self._test.setdefault(key, []).append(number)
        self._texts = list(self._test)
        self._index = NearIndex(self._texts, list(dict.fromkeys(sample.keys)), similarity)
        self._phrases: dict[tuple[str, int], _Shared] = {}

    def search(self, chunk: Chunk) -> Iterator[Leak]:
        owners: dict[str, list[int]] = {}
        for number, key in enumerate(chunk.keys, chunk.start):
            if key:
                owners.setdefault(key, []).append(number)
        texts = list(owners)
        for match in self._index.search(texts):
            if self._texts[match.indexed] == texts[match.searched]:
                continue  # the rule for normalised texts tells of it
            leaks = list(self._leaks(match, owners[texts[match.searched]]))
            if match.phrase is None:
                yield from leaks
            else:
                shared = self._phrases.setdefault((match.rule, match.phrase), _Shared(COMMON[match.rule]))
                shared.add(texts[match.searched], leaks)

    def finish(self) -> Iterator[Leak]:
        for shared in self._phrases.values():
            yield from shared.leaks

    def _leaks(self, match: Match, train_rows: Sequence[int]) -> Iterator[Leak]:
        if match.rule not in self._rules:
            return
        test_rows = self._test[self._texts[match.indexed]]
        yield from (Leak(match.rule, test_row, train_rows[0], match.score) for test_row in test_rows)
        yield from (Leak(match.rule, test_rows[0], train_row, match.score) for train_row in train_rows[1:])


class _Shared:
    """Leaks through one phrase: none once more than `most` different train texts hold it (copies of one count as one)."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._texts: set[int] = set()
        self.leaks: list[Leak] = []

    def add(self, text: str, leaks: Iterable[Leak]) -> None:
        if len(self._texts) <= self._most:
            self._texts.add(hash(text))
            self.leaks += leaks
            if len(self._texts) > self._most:
                self.leaks.clear()


def _told_once(found: Mapping[str, Sequence[Leak]], rules: Sequence[str]) -> Iterator[Leak]:
    """Pairs of which at least one row is not told of yet, the best scores of a rule first."""
    test_seen: set[int] = set()
    train_seen: set[int] = set()
    for rule in rules:
        for leak in sorted(found[rule], key=lambda leak: -leak.score):
            assert leak.test_row is not None
            assert leak.train_row is not None
            if leak.test_row in test_seen and leak.train_row in train_seen:
                continue
            test_seen.add(leak.test_row)
            train_seen.add(leak.train_row)
            yield leak


def _chunks(rows: Iterable[Row]) -> Iterator[Chunk]:
    stream, start = iter(rows), 0
    while chunk := list(itertools.islice(stream, _CHUNK)):
        yield Chunk(start, chunk)
        start += len(chunk)


def _order(row: int | None) -> tuple[bool, int]:
    return row is None, row or 0
