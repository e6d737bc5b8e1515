"""One row as a whole: all its texts cleaned or changed alike, what is wrong with it, what makes it the same as another.

A row of a generation task holds its texts in `messages`; `text` and `completion` follow from them and are made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from ftcore.data.cleaning import clean_lines, clean_text, is_broken, normalise_for_match, squeeze_text
from ftcore.data.conversations import generation_row
from ftcore.data.markup import html_to_text
from ftcore.records import digest_of
from ftcore.spec import PrepareSpec

Row = dict[str, Any]


def texts_of(row: Mapping[str, Any]) -> list[str]:
    """Every text of the row once: the turns of a conversation, or the one text."""
    return [turn["content"] for turn in row["messages"]] if "messages" in row else [row["text"] or ""]


def with_texts(row: Row, change: Callable[[str], str]) -> Row:
    """A copy of the row with `change` applied to every text."""
    if "messages" in row:
        return {**row, **generation_row([{**turn, "content": change(turn["content"])} for turn in row["messages"]])}
    return {**row, "text": change(row["text"] or "")}


def clean_row(row: Row, settings: PrepareSpec) -> Row:
    """Markup, encoding and white space as the spec says. Line breaks of conversations stay."""
    if settings.strip_html:
        row = with_texts(row, html_to_text)
    if "messages" in row:
        return with_texts(row, clean_lines if settings.fix_encoding else str.strip)
    return with_texts(row, clean_text if settings.fix_encoding else squeeze_text)


def fault_of(row: Row, max_chars: int) -> str | None:
    """Why a cleaned row cannot be used, in one word; None: it can."""
    texts = texts_of(row)
    if not all(texts):
        return "empty_text"
    if "messages" not in row and not row["label"]:
        return "missing_label"
    if any(is_broken(text.replace("\n", " ").replace("\t", " ")) for text in texts):
        return "broken_encoding"
    return "too_long" if sum(map(len, texts)) > max_chars else None


def identity_of(row: Row) -> str:
    """Equal for rows that repeat each other. A question may have several good answers: then completions must agree, too."""
    text = normalise_for_match(row["text"])
    return f"{text}\n{normalise_for_match(row['completion'])}" if "messages" in row else text


def row_digest(row: Mapping[str, Any]) -> str:
    """Identity of one row with its content: SHA-256 over id, text and what is to be learned (label, or all turns)."""
    return digest_of([row["id"], row["text"], row.get("messages") or row.get("label")])


def holdout_identity(row: Mapping[str, Any]) -> str:
    """SHA-256 of what is asked, without case, punctuation and white space: another id or another label makes no row fresh."""
    return digest_of(normalise_for_match(row["text"]))


def released_ids(splits: Iterable[Iterable[Mapping[str, Any]]], digests: Collection[str]) -> frozenset[str]:
    """Ids of the rows whose digests are among `digests`."""
    if not digests:
        return frozenset()
    return frozenset(row["id"] for rows in splits for row in rows if row_digest(row) in digests)
