"""Expectations about text as such: its language, its characters, its length, its repetition."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any

from great_expectations.compatibility import pydantic

from ftcore.data.cleaning import has_mojibake, normalise_for_match
from ftcore.data.tokens import count_tokens
from ftcore.validation.custom._base import UNDECIDED, Observation, RowExpectation, unjudged
from ftcore.validation.surroundings import Surroundings

# Controls but tab and line ends; soft hyphen, zero-width and bidi characters; tag letters outside an emoji flag, which spell
# words that nobody sees; joiners beside plain letters, which join nothing.
_HIDDEN = re.compile(
    "(?P<control>[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f])|(?P<bidi>[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069])"
    "|(?P<zero_width>[\u00ad\u200b\u2060-\u2064\ufeff]|(?<=[ -~])[\u200c\u200d]|[\u200c\u200d](?=[ -~]))"
    "|(?P<tag>(?<![\U0001f3f4\U000e0020-\U000e007f])[\U000e0000-\U000e007f])"
)


class ExpectColumnTextLanguageToBeIn(RowExpectation):
    """Text is in one of some languages, as far as a language identifier (py3langid, 139 languages) is sure.

    Short or uncertain texts stay undecided: five words are often two languages. A set in which no row can be decided fails.
    """

    languages: list[str]
    """ISO 639-1 codes."""
    min_chars: int = pydantic.Field(default=20, ge=1)
    """Shorter texts stay undecided."""
    min_confidence: float = pydantic.Field(default=0.8, gt=0.0, le=1.0)
    """Probability from which the identifier counts as sure."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        classify = language_identifier()
        for value in values:
            if len(value) < self.min_chars:
                yield UNDECIDED
                continue
            language, confidence = classify(value)
            if confidence < self.min_confidence:
                yield UNDECIDED
            else:
                yield None if language in self.languages else f"language {language}"


@functools.cache
def language_identifier() -> Any:
    """A function text -> (ISO 639-1 code, probability). Loading the model takes the better part of a second."""
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True).classify


class ExpectColumnTextToBeUndamaged(RowExpectation):
    """No U+FFFD (bytes were lost) and no mojibake (UTF-8 read as something else; found where ftfy would change the text)."""

    kinds: list[str] = pydantic.Field(default=["lost_bytes", "mojibake"])

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        for value in values:
            if "lost_bytes" in self.kinds and "\ufffd" in value:
                yield "lost bytes"
            elif "mojibake" in self.kinds and has_mojibake(value):
                yield "mojibake"
            else:
                yield None


class ExpectColumnTextToHaveNoHiddenCharacters(RowExpectation):
    """No control, zero-width, bidi or tag characters. Joiners that emoji and scripts need are allowed, so are emoji flags."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        for value in values:
            # Nearly all rows are plain: printable ASCII needs no search.
            hit = None if value.isascii() and value.isprintable() else _HIDDEN.search(value)
            yield f"{hit.lastgroup} character".replace("_", "-") if hit else None


class ExpectColumnTextToFitTokens(RowExpectation):
    """Text is no longer than so many tokens of the base model's tokenizer, special tokens included.

    Needs the tokenizer's folder in the surroundings. Observed: median, 95th percentile, longest, and the share cut off.
    """

    max_tokens: int | None = pydantic.Field(default=None, ge=1)
    """None: `training.max_length`."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        raise NotImplementedError  # `look` judges all lengths at once

    def look(self, frame: Any, around: Surroundings) -> Observation:
        limit = self.max_tokens or around.max_length
        if around.tokenizer is None or limit is None:
            return unjudged("no tokenizer and length limit were given")
        there = [(row, value) for row, value in enumerate(frame[self.column]) if isinstance(value, str)]
        lengths = count_tokens([value for _, value in there], around.tokenizer)
        rows = {row: f"{length} tokens" for (row, _), length in zip(there, lengths, strict=True) if length > limit}
        ordered = sorted(lengths) or [0]
        observed = (
            f"median {ordered[len(ordered) // 2]}, 95th percentile {ordered[int(len(ordered) * 0.95)]}, longest "
            f"{ordered[-1]} tokens; {len(rows) / max(1, len(there)):.2%} cut off at {limit}"
        )
        success = len(rows) <= (1.0 - self.mostly) * len(there) + 1e-9
        return Observation(success, observed, rows, len(there), len(frame))


class ExpectColumnTextToBeDistinct(RowExpectation):
    """No text repeats an earlier one after case, punctuation and white space are ignored."""

    def faults(self, values: Sequence[Any], around: Surroundings) -> Iterable[Any]:
        seen: set[str] = set()
        for value in values:
            key = normalise_for_match(value)
            yield "repeats an earlier row" if key in seen else None
            seen.add(key)
