"""Measured text put into a document, between two marks: written by the benchmark that measured it, never by hand."""

from __future__ import annotations

from ftcore.errors import UsageError


def put_between(document: str, begin: str, text: str, end: str) -> str:
    """The document with `text` between the lines `begin` and `end`, in place of what was there.

    Raises:
        UsageError: It lacks them.
    """
    before, found, rest = document.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise UsageError(f"The document lacks the lines {begin} and {end}.")
    return f"{before}{begin}\n\n{text}\n\n{end}{after}"
