"""Expectations about what text says: personal data, words nobody wants, orders to the model.

Lists of words and patterns find what they list and nothing else: a clean result is no proof of harmlessness.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from great_expectations.compatibility import pydantic

from ftcore.data.personal import KINDS, REGIONS
from ftcore.errors import UsageError
from ftcore.validation.custom._base import RowExpectation
from ftcore.validation.findings import Action
from ftcore.validation.personal import personal_kinds
from ftcore.validation.surroundings import Surroundings

WORDS = Path(__file__).with_name("words.txt")
"""The shipped list: a few dozen English words, one per line, `#` starts a comment."""

# What injected instructions look like in the collections of them that are public: overriding what came before, claiming another
# role, asking for the hidden prompt, and the control tokens of well-known chat templates. Every
# stretch is bounded or cannot begin again inside itself: a row of a million line breaks must not take hours.
INJECTION_MARKERS: dict[str, str] = {
    "override": r"\b(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|preceding|system|all)\b"
    r".{0,20}\b(?:instruction|prompt|message|rule|direction|context|command)s?\b",
    "role": r"\b(?:you are now|pretend to be|act as)\b.{0,30}\b(?:dan|jailbroken|unrestricted|developer mode|root|admin)\b"
    r"|\bdo anything now\b|\b(?:enable|enter|activate) (?:developer|debug|god) mode\b",
    "hidden prompt": r"\b(?:reveal|show|print|repeat|output|leak|tell me)\b.{0,30}\b(?:system|hidden|initial|original|secret)"
    r" (?:prompt|instruction|message)s?\b",
    "control token": r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id|end_header_id)\|>"
    r"|<<SYS>>|\[/?INST\]|<(?:start|end)_of_turn>",
    "turn marker": r"(?:^|\n)[^\S\n]*(?:#{2,}\s*)?(?:system|assistant)\s*(?:message|prompt)?\s*:\s",
    "exfiltration": r"!\[[^\]]{0,300}\]\(https?://[^)\s?&]{1,300}[?&][^)\s=]{0,300}=",
}


_LOOKED_AT = 20_000
"""Characters searched for personal data: longer rows are set aside by prepare anyway, and a row of nothing but numbers would
take seconds."""


class ExpectColumnTextToHaveNoPersonalData(RowExpectation):
    """No e-mail address, phone, card or account number and the like (`ftcore.data.personal`)."""

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "personal_data"
    kinds: list[str] | None = None
    """Only these kinds; None: those of the spec (`prepare.personal_kinds`), without one all."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        known = KINDS if self.kinds is not None or around.personal_kinds is None else around.personal_kinds
        regions = REGIONS if around.phone_regions is None else around.phone_regions
        for value in values:
            found = personal_kinds(value[:_LOOKED_AT], known, regions)
            kinds = {kind for kind in found if self.kinds is None or kind in self.kinds}
            yield ", ".join(sorted(kinds)) or None


class ExpectColumnTextToHaveNoListedWords(RowExpectation):
    """None of the words of a list, as whole words, case ignored. The shipped list is short and English; bring your own."""

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "listed_word"
    words: list[str] | None = None
    """The list itself."""
    words_file: str | None = None
    """A UTF-8 file with one word or phrase per line, relative to the project folder. Neither: the shipped list."""

    @pydantic.validator("words")  # type: ignore[untyped-decorator]
    def _not_empty(cls, words: list[str] | None) -> list[str] | None:
        if words is not None and not all(word.strip() for word in words or [""]):
            raise ValueError("words is empty or has an empty word, which every text would hold")
        return words

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        path = (around.folder or Path()) / self.words_file if self.words_file else WORDS
        words = tuple(self.words) if self.words is not None and not self.words_file else _read_words(path)
        pattern = _any_word((*words, *(self.words or ())))
        return ("listed word" if pattern.search(value) else None for value in values)


class ExpectColumnTextToHaveNoInjectionMarkers(RowExpectation):
    """Nothing that reads like an order to the model (INJECTION_MARKERS): such rows teach it to obey its input."""

    action: ClassVar[Action] = "quarantine"
    reason: ClassVar[str] = "injection_marker"
    kinds: list[str] = pydantic.Field(default=list(INJECTION_MARKERS))
    """Which of the patterns."""

    @pydantic.validator("kinds")  # type: ignore[untyped-decorator]
    def _known(cls, kinds: list[str]) -> list[str]:
        unknown = sorted(set(kinds) - INJECTION_MARKERS.keys())
        if unknown:
            raise ValueError(f"unknown kinds {', '.join(unknown)}; known: {', '.join(INJECTION_MARKERS)}")
        return kinds

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        patterns = {kind: re.compile(INJECTION_MARKERS[kind], re.IGNORECASE) for kind in self.kinds}
        for value in values:
            yield next((kind for kind, pattern in patterns.items() if pattern.search(value)), None)


def _read_words(path: Path) -> tuple[str, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"Cannot read the word list {path}: {type(error).__name__}; wanted UTF-8, one word per line.",
            hint="correct words_file in the suite",
        ) from None
    words = tuple(word for line in lines if (word := line.split("#")[0].strip()))
    if not words:
        raise UsageError(f"The word list {path} is empty; wanted one word per line.", hint="correct words_file")
    return words


def _any_word(words: tuple[str, ...]) -> re.Pattern[str]:
    ordered = sorted({word.casefold() for word in words}, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, ordered))})(?!\w)", re.IGNORECASE)
