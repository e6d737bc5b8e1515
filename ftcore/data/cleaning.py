"""Text cleaning: once for training (`clean_text`), and more strongly for finding twins (`normalise_for_match`)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import ftfy

# Invisible characters that carry no meaning in a message: zero-width, bidi controls, soft hyphen, BOM. The zero-width joiner
# stays in clean_text: emoji and several scripts need it.
_INVISIBLE = dict.fromkeys(
    [0x00AD, 0x200B, 0x200C, 0x200E, 0x200F, 0x2060, 0xFEFF, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
)
_CONTROLS = {code: " " if code in (9, 10, 11, 12, 13, 0x85) else None for code in (*range(0x20), *range(0x7F, 0xA0))}
_CLEAN = {**_CONTROLS, **_INVISIBLE, 0x2028: " ", 0x2029: " "}
_CLEAN_LINES = {code: change for code, change in _CLEAN.items() if code not in (9, 10)}
# A joiner next to plain ASCII joins nothing: it hides a word from search.
_STRAY_JOINER = re.compile("(?<=[ -~])\u200d|\u200d(?=[ -~])")
_SPACES = re.compile(r"\s+")
_FTFY = ftfy.TextFixerConfig(unescape_html="auto", uncurl_quotes=False, fix_latin_ligatures=True, explain=False)


def clean_text(text: str) -> str:
    """Text as a model should see it: mojibake repaired (ftfy), NFC, no control or invisible characters, single spaces."""
    if not text.isascii() or "&" in text or "\x1b" in text:  # ftfy also takes terminal colour codes away
        text = ftfy.fix_text(text, _FTFY)
    text = unicodedata.normalize("NFC", text).translate(_CLEAN)
    return _SPACES.sub(" ", _STRAY_JOINER.sub("", text)).strip()


def has_mojibake(text: str) -> bool:
    """True for UTF-8 that was read as something else ("CafÃ©"), as far as ftfy can tell and mend it."""
    return not text.isascii() and ftfy.fix_encoding(text) != text


def clean_lines(text: str) -> str:
    """`clean_text` for conversations: line breaks and indentation carry meaning in code, lists and verse, so they stay."""
    if not text.isascii() or "&" in text or "\x1b" in text:
        text = ftfy.fix_text(text, _FTFY)
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n")).translate(_CLEAN_LINES)
    return _STRAY_JOINER.sub("", text).strip()


def squeeze_text(text: str) -> str:
    """What remains when `prepare.fix_encoding` is off: single spaces, nothing else."""
    return _SPACES.sub(" ", text).strip()


def is_broken(text: str) -> bool:
    """True if bytes were lost on the way: the replacement character, or controls that cleaning was told to leave."""
    return "\ufffd" in text or any(unicodedata.category(char) in ("Cc", "Cs", "Co") for char in text)


class _MatchTable(dict[int, str | None]):
    """For str.translate: punctuation to space, apostrophes and format characters to nothing; filled as characters turn up."""

    def __missing__(self, code: int) -> str | None:
        char = chr(code)
        category = unicodedata.category(char)
        replacement: str | None = char
        if category in ("Cf", "Cc"):
            replacement = " " if char.isspace() else None
        elif char in "'’‘ʼ`´":
            replacement = None
        elif category.startswith("P"):
            replacement = " "
        self[code] = replacement
        return replacement


_MATCH = _MatchTable()


def normalise_for_match(text: str) -> str:
    """Equal for texts that differ only in case, width, punctuation, apostrophes, invisible characters or white space.

    NFKC, casefold, NFKC again (Unicode's caseless matching), then punctuation away. Text of nothing but punctuation keeps it,
    so that "?!" and "..." are not twins.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    matched = " ".join(folded.translate(_MATCH).split())
    return matched or " ".join(folded.split())


def match_keys(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The text of every row as `normalise_for_match` leaves it; empty for a row without text."""
    return [normalise_for_match(row["text"] or "") for row in rows]
