"""Was an expectation met, and in which words is it told? Great Expectations is asked, not trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ftcore.data.faults import spoken_ids
from ftcore.errors import num_of
from ftcore.validation.suites import Entry

# Values of these columns may be named in a message; text and ids of people may not.
_SHOWN = ("label", "source")


def judge(entry: Entry, result: Any, frame: Any) -> str | None:
    """None if the expectation was met, else one line that says what was expected and what was seen."""
    if result is None:
        return f"{entry}: Great Expectations gave no answer"
    error = _exception(result.exception_info)
    if error is not None:
        if entry.column is not None and entry.column not in frame.columns:
            return f"{entry}: no column {entry.column!r}; saw {', '.join(frame.columns)}"
        return f"{entry}: raised {error} instead of an answer (see the Data Docs)"
    answer = result.result or {}
    if result.success is not True:
        return f"{entry}: {_wanted(entry)}{_seen(entry, answer, frame)}"
    elements = answer.get("element_count")
    if elements is None:
        return None  # a table or aggregate expectation: it has looked at the whole column
    if elements == 0 or answer.get("missing_count", 0) == elements:
        return f"{entry}: looked at no value at all (of {len(frame)} rows), which proves nothing"
    return None


def _exception(info: Any) -> str | None:
    """Class name of what an expectation raised. GX nests the information one level deeper for metric errors.

    Only the class: the message may quote row text.
    """
    if not isinstance(info, Mapping):
        return None
    for part in (info, *info.values()):
        if isinstance(part, Mapping) and part.get("raised_exception"):
            lines = str(part.get("exception_traceback") or "").strip().splitlines()
            return lines[-1].split(":")[0].rsplit(".", 1)[-1] if lines else "an exception"
    return None


def _wanted(entry: Entry) -> str:
    told = entry.meta.get("wanted")  # words instead of a pattern that nobody reads
    shown = {key: value for key, value in entry.kwargs.items() if key == "mostly" or key != "column" and not told}
    settings = ", ".join([*([str(told)] if told else []), *(f"{key}={value!r}" for key, value in shown.items())])
    return f"wanted {settings if len(settings) <= 160 else settings[:159] + '…'}; " if settings else ""


def _seen(entry: Entry, answer: Mapping[str, Any], frame: Any) -> str:
    observed, count, elements = (
        answer.get("observed_value"),
        answer.get("unexpected_count"),
        answer.get("element_count"),
    )
    in_words = "evidence" in answer and observed is not None  # an expectation of ftcore; never row text
    if in_words:
        seen = f"saw {observed}" + (f" ({count} of {elements} rows)" if count else "")
    elif count is not None:
        seen = f"saw {count} of {elements} rows ({count / elements:.2%}) at fault" if elements else "saw no rows"
    if in_words or count is not None:
        rows = frame.iloc[unexpected_rows(answer)]
        if not in_words and entry.column in _SHOWN and len(rows):
            seen += f", values {_short(sorted({str(value) for value in rows[entry.column]}))}"
        ids = list(map(str, rows["id"])) if "id" in rows else []
        return seen + (f"; {spoken_ids(ids)}" if ids else "")
    if isinstance(observed, list | set | tuple):
        return f"saw {num_of(len(observed), 'value')}" + (
            f": {_short(sorted(map(str, observed)))}" if entry.column in _SHOWN else ""
        )
    return f"saw {observed}" if isinstance(observed, int | float) else "it was not met"


def unexpected_rows(answer: Mapping[str, Any]) -> list[int]:
    """Positions of the rows at fault in a GX result."""
    return [number for number in answer.get("unexpected_index_list") or () if isinstance(number, int)]


def _short(values: Iterable[str], limit: int = 8) -> str:
    listed = [value if len(value) <= 40 else f"{value[:39]}…" for value in values]
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
