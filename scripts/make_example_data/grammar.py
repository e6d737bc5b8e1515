"""A phrase bank's little language: (a|b|) picks one alternative, <slot> is filled by the customer."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

_GROUP = re.compile(r"\(([^()]*\|[^()]*)\)")
_SLOT = re.compile(r"<([a-z0-9]+)>")


def expand(line: str, rng: random.Random, fill: Callable[[str], str]) -> str:
    """Choose the alternatives, then fill the slots. A bracket without a bar is ordinary text."""
    while group := _GROUP.search(line):
        choice = rng.choice(group.group(1).split("|"))
        line = line[: group.start()] + choice + line[group.end() :]
    return fill_slots(line, fill)


def fill_slots(line: str, fill: Callable[[str], str]) -> str:
    """Put the words in the place of the slots, and mend spaces and articles around them."""
    line = _SLOT.sub(lambda slot: fill(slot.group(1)), line)
    line = re.sub(r"\s+([,.?!])", r"\1", line)
    return fix_article(re.sub(r"\s+", " ", line).strip())


def fitting(lines: Sequence[str], known: Iterable[str]) -> list[str]:
    """The lines that say as much as possible of what is known: no slot unknown, and none with more slots left out."""
    slots = {line: set(_SLOT.findall(line)) for line in lines}
    fit = [line for line in lines if slots[line] <= set(known)]
    most = max((len(slots[line]) for line in fit), default=0)
    return [line for line in fit if len(slots[line]) == most]


def heard(facts: Mapping[str, str], text: str) -> dict[str, str]:
    """The facts that stand in the text word for word (case aside): what a reader of the text can know."""
    low = text.casefold()
    return {slot: value for slot, value in facts.items() if value.casefold() in low}


def fix_article(text: str) -> str:
    """Slots bring words with and without a leading vowel: a e-reader -> an e-reader."""
    text = re.sub(r"\b([Aa]) (?=(?:[aeio]|SSD|e-)[a-z-]*)", r"\1n ", text)
    return re.sub(r"\b([Aa])n (one|once|unicorn|user|euro)\b", r"\1 \2", text)


def capitalise(text: str) -> str:
    """Begin every sentence with a capital, as a careful writer does."""
    return re.sub(r"(^|[.?!]\s+)([a-z])", lambda m: m.group(1) + m.group(2).upper(), text)


def normalise(text: str) -> str:
    """The form in which two texts count as the same: case, punctuation and spacing left out."""
    return " ".join(re.sub(r"[^\w\s]", "", text.casefold()).split())
