"""More training rows out of those there are: marked as such, the same whatever the order of rows, never near a held-out row."""

from __future__ import annotations

import csv
import hashlib
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ftcore.data.leakage import Embed, leaks_between
from ftcore.data.rows import identity_of, with_texts
from ftcore.errors import UsageError
from ftcore.spec import AugmentMethod, AugmentSpec, LeakageSpec

Row = dict[str, Any]
Synonyms = Mapping[str, Sequence[str]]


class Change(Protocol):
    """One way to change a text."""

    def __call__(self, text: str, chance: random.Random) -> str: ...


_WORD = re.compile(r"\S+")
_MIN_WORDS = 4
# Keys that lie beside each other on a QWERTY board.
_BESIDE = {
    key: row[max(0, place - 1) : place] + row[place + 1 : place + 2]
    for row in ("qwertyuiop", "asdfghjkl", "zxcvbnm")
    for place, key in enumerate(row)
}


@dataclass
class Augmented:
    """What was made."""

    rows: list[Row] = field(default_factory=list)
    """Each has `augmented`: `METHOD:ID of the row it was made from`, and `METHOD` in its own id."""
    num_dropped: dict[str, int] = field(default_factory=dict)
    """Rows thrown away: `unchanged`, `repeated` (same as another row of train) and `leaked` (too near a held-out row)."""

    @property
    def num_made(self) -> dict[str, int]:
        """Rows kept, by method."""
        return dict(sorted(Counter(row["augmented"].partition(":")[0] for row in self.rows).items()))


def augment_train(
    train: Sequence[Row],
    held_out: Sequence[Row],
    settings: AugmentSpec,
    leakage: LeakageSpec,
    synonyms: Synonyms | None = None,
    embed: Embed | None = None,
) -> Augmented:
    """New rows for `train`; `train` and `held_out` stay as they are.

    Each row's fate hangs on the seed, the method, its id and its text alone. Rows that the leakage rules link with a row of
    `held_out` are dropped, as are those that say the same as any row of train (whatever its label) or than one made before.

    Args:
        held_out: Validation and test rows.
        leakage: What counts as a leak.
        synonyms: See `read_synonyms`; for method synonym.
        embed: For paraphrases, where they count as leaks.
    """
    if not settings.methods:
        return Augmented()
    made: list[Row] = []
    dropped: Counter[str] = Counter()
    seen = {identity_of(row) for row in train}
    for method in settings.methods:
        change = _changes(settings, synonyms or {})[method]
        for row in train:
            chance = random.Random(_seed(settings.seed, method, row))
            if chance.random() >= settings.fraction:
                continue
            new = _changed(row, method, partial(change, chance=chance))
            identity = identity_of(new)
            if new["text"] == row["text"]:
                dropped["unchanged"] += 1
            elif identity in seen:
                dropped["repeated"] += 1
            else:
                seen.add(identity)
                made.append(new)
    leaked = {leak.train_row for leak in leaks_between(made, held_out, leakage, embed) if leak.train_row is not None}
    dropped["leaked"] = len(leaked)
    kept = [row for number, row in enumerate(made) if number not in leaked]
    return Augmented(kept, {reason: count for reason, count in sorted(dropped.items()) if count})


def _seed(seed: int, method: str, row: Row) -> int:
    content = f"ftcore augment\n{seed}\n{method}\n{row['id']}\n{row['text']}"
    return int.from_bytes(hashlib.sha256(content.encode()).digest()[:8], "big")


def _changed(row: Row, method: str, change: Callable[[str], str]) -> Row:
    """The row with its question changed: its text, or the last turn that is not the answer."""
    marks = {"id": f"{row['id']}~{method}", "augmented": f"{method}:{row['id']}"}
    if "messages" not in row:
        return {**with_texts(row, change), **marks}
    asked = max((number for number, turn in enumerate(row["messages"][:-1]) if turn["role"] == "user"), default=None)
    turns = iter(range(len(row["messages"])))
    return {**with_texts(row, lambda text: change(text) if next(turns) == asked else text), **marks}


def _changes(settings: AugmentSpec, synonyms: Synonyms) -> dict[AugmentMethod, Change]:
    strength = settings.strength
    return {
        "typo": lambda text, chance: _on_words(text, chance, strength, _slip),
        "dropout": lambda text, chance: _drop(text, chance, strength),
        "swap": lambda text, chance: _swap(text, chance, strength),
        "synonym": lambda text, chance: _replace(text, chance, strength, synonyms),
        "paraphrase": lambda text, chance: chance.choice(settings.templates).replace("{text}", text),
    }


def _on_words(text: str, chance: random.Random, strength: float, change: Callable[[str, random.Random], str]) -> str:
    """Change a share of the words, at least one; white space stays."""
    words = [match for match in _WORD.finditer(text) if len(match.group()) >= 3 and match.group().isalpha()]
    if not words:
        return text
    chosen = sorted(chance.sample(words, max(1, round(strength * len(words)))), key=lambda match: -match.start())
    for match in chosen:
        text = text[: match.start()] + change(match.group(), chance) + text[match.end() :]
    return text


def _slip(word: str, chance: random.Random) -> str:
    """One slip of the fingers: two letters swapped, one left out, one doubled, or the key beside it."""
    place = chance.randrange(len(word) - 1)
    kind = chance.choice(("swap", "omit", "double", "beside"))
    if kind == "swap":
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if kind == "omit":
        return word[:place] + word[place + 1 :]
    beside = _BESIDE.get(word[place].lower(), "")
    if kind == "double" or not beside:
        return word[: place + 1] + word[place:]
    return word[:place] + chance.choice(beside) + word[place + 1 :]


def _drop(text: str, chance: random.Random, strength: float) -> str:
    words = list(_WORD.finditer(text))
    if len(words) < _MIN_WORDS:
        return text
    for match in sorted(chance.sample(words, max(1, round(strength * len(words)))), key=lambda match: -match.start()):
        text = text[: match.start()].rstrip() + text[match.end() :]
    return text.strip()


def _swap(text: str, chance: random.Random, strength: float) -> str:
    """Exchange neighbouring words; the white space between them stays where it is."""
    words = list(_WORD.finditer(text))
    if len(words) < _MIN_WORDS:
        return text
    # Every other place, so that no word moves twice.
    places = range(chance.randrange(2), len(words) - 1, 2)
    for place in sorted(
        chance.sample(places, min(len(places), max(1, round(strength * len(words) / 2)))), reverse=True
    ):
        left, right = words[place], words[place + 1]
        between = text[left.end() : right.start()]
        text = text[: left.start()] + right.group() + between + left.group() + text[right.end() :]
    return text


def _replace(text: str, chance: random.Random, strength: float, synonyms: Synonyms) -> str:
    known = [match for match in re.finditer(r"\w+", text) if match.group().casefold() in synonyms]
    if not known:
        return text
    wanted = max(1, round(strength * len(text.split())))
    chosen = chance.sample(known, min(len(known), wanted))
    for match in sorted(chosen, key=lambda match: -match.start()):
        other = chance.choice(synonyms[match.group().casefold()])
        other = other[:1].upper() + other[1:] if match.group()[0].isupper() else other
        text = text[: match.start()] + other + text[match.end() :]
    return text


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Word (caseless) -> synonyms, out of a CSV file with the columns `word` and `synonym`, one pair per line.

    Raises:
        UsageError: The file is missing, is not such a CSV, or has lines without a pair; all are named.
    """
    wanted = "wanted UTF-8 CSV with the columns word and synonym (prepare.augment.synonyms)"
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if not {"word", "synonym"} <= set(reader.fieldnames or ()):
                raise UsageError(f"{path.name} lacks the columns word and synonym; {wanted}.")
            lines = [(reader.line_num, row["word"], row["synonym"]) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"Cannot read {path}: {type(error).__name__}; {wanted}.") from error
    faults = [f"line {number}: a field is empty" for number, word, synonym in lines if not (word and synonym)]
    faults += [
        f"line {number}: more than one word" for number, word, _ in lines if word and not re.fullmatch(r"\w+", word)
    ]
    if faults or not lines:
        raise UsageError(f"{path.name} has {len(faults)} faulty lines of {len(lines)}; {wanted}.", details=faults[:20])
    table: dict[str, list[str]] = {}
    for _, word, synonym in lines:
        table.setdefault(word.casefold(), []).append(synonym.strip())
    return {word: sorted(set(found)) for word, found in table.items()}
