"""Rows for the optional phases of a method: plain texts to adapt to and ratings of answers, cleaned, and free of what the
model will be judged on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ftcore.data.cleaning import clean_lines, clean_text, is_broken, squeeze_text
from ftcore.data.faults import Faults, Limits, RowFault
from ftcore.data.formats import kind_of, read_rows
from ftcore.data.leakage import TEXT_RULES, leaks_between
from ftcore.data.markup import html_to_text
from ftcore.data.personal import Finder, count_personal, redact
from ftcore.data.preferences import read_preferences
from ftcore.data.reading import find_extra_files, malformed_faults, raise_faults
from ftcore.data.streams import read_lines
from ftcore.spec import FineTuneSpec, PrepareSpec, Split

Row = dict[str, Any]
_PARTS = ("prompt", "completion", "chosen", "rejected")


@dataclass
class Extras:
    """What phases read, and what was left out: {id, split, reason}, where split is `texts` or `preferences` and begins the id."""

    texts: list[Row] | None = None
    preferences: list[Row] | None = None
    """None: no phase reads them; empty: none have come yet, and training goes without the phase."""
    left_out: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def leave_out(self, row_id: str, what: str, reason: str) -> None:
        """Note a row. Its id is not that of a row of the splits, which may have the same."""
        self.left_out.append({"id": f"{what}:{row_id}", "split": what, "reason": reason})


def read_extras(
    spec: FineTuneSpec, folder: Path, splits: Mapping[Split, Sequence[Row]], find_more: Finder | None = None
) -> Extras:
    """Texts and ratings that `method.adapt` and `method.prefer` name.

    Args:
        folder: The pulled data version.
        splits: Prepared rows: what repeats a validation or test row is left out.
        find_more: Finds personal data beside the built-in detectors (`prepare.personal_engine`).

    Raises:
        DataMissing: A pattern matches no file (a wildcard of `method.prefer` may: ratings come from production).
        DataRefused: Files with faults, each listed with file and line.
        UsageError: A pattern leaves the folder, or names a file that `data.files` reads, too.
    """
    extras = Extras()
    held_out = [{"id": row["id"], "text": row["text"]} for split in ("validation", "test") for row in splits[split]]
    adapt, prefer = spec.method.adapt, spec.method.prefer
    if adapt and adapt.texts:
        files = find_extra_files(folder, spec.data, adapt.texts, "method.adapt.texts")
        rows = _read(files, folder, partial(read_texts, column=spec.data.columns.text), spec, "texts", extras)
        extras.texts = _usable(rows, held_out, spec, "texts", extras, find_more)
    if prefer:
        files = find_extra_files(folder, spec.data, prefer.data, "method.prefer.data", to_come=True)
        read = partial(read_preferences, kind=prefer.algorithm)
        rows = _read(files, folder, read, spec, "preferences", extras)
        extras.preferences = _usable(rows, held_out, spec, "preferences", extras, find_more)
        extras.refused += _too_few(extras.preferences) if files else []
    return extras


def read_texts(
    path: Path, limits: Limits = Limits(), *, name: str = "", column: str = "text"
) -> tuple[list[Row], Faults]:
    """Plain texts of one file: the lines of a .txt file, else one column.

    Args:
        name: What to call the file in faults and ids; default its name.
        column: Name of the column.
    """
    faults = Faults(name or path.name)
    rows: list[Row] = []
    if kind_of(path) == ".txt":
        for number, text in read_lines(path, faults, limits):
            if text.strip():
                rows.append({"id": f"{faults.file}:{number}", "text": text})
        return rows, faults
    for number, (line, raw) in enumerate(read_rows(path, (column,), faults, limits)):
        if number == 0 and column not in raw:
            faults.add(f"no column {column!r} (data.columns.text)", line)
            break
        if isinstance(raw.get(column), str):
            rows.append({"id": f"{faults.file}:{number}", "text": raw[column]})
        elif raw.get(column) is not None:
            faults.add_row("bad_value", f"saw a {type(raw[column]).__name__} in column {column!r}, wanted text", line)
    return rows, faults


def _read(
    files: Sequence[Path], folder: Path, read: Callable[..., tuple[list[Row], Faults]], spec: FineTuneSpec, what: str,
    extras: Extras,
) -> list[Row]:  # fmt: skip
    rows: list[Row] = []
    malformed: list[RowFault] = []
    faults: list[str] = []
    for path in files:
        found, seen = read(path, name=path.relative_to(folder).as_posix())
        rows += found
        malformed += seen.rows
        faults += seen.file_report()
    raise_faults(faults)
    extras.refused += malformed_faults(malformed, len(rows), spec.validation.max_quarantined)
    for fault in malformed:
        extras.leave_out(fault.id, what, fault.reason)
    return rows


def _usable(
    rows: list[Row], held_out: Sequence[Row], spec: FineTuneSpec, what: str, extras: Extras, find_more: Finder | None
) -> list[Row]:
    """Cleaned rows without broken, personal (as `prepare.personal_data` says), repeated and leaked ones."""
    kept: list[Row] = []
    seen: set[str] = set()
    for row in rows:
        row, reason = _cleaned(row, spec.prepare, find_more)
        identity = repr([value for part, value in row.items() if part != "id"])
        if not reason and identity in seen:
            reason = "duplicate"
        seen.add(identity)
        if reason:
            extras.leave_out(row["id"], what, reason)
        else:
            kept.append(row)
    rules = [rule for rule in spec.leakage.rules if rule in TEXT_RULES]
    settings = spec.leakage.model_copy(update={"rules": rules})
    plain = [{"id": row["id"], "text": row["text"]} for row in kept]
    leaked = {leak.train_row for leak in leaks_between(plain, held_out, settings)} if held_out and plain else set()
    for number in sorted(number for number in leaked if number is not None):
        extras.leave_out(kept[number]["id"], what, "leaked")
    return [row for number, row in enumerate(kept) if number not in leaked]


def _cleaned(row: Row, settings: PrepareSpec, find_more: Finder | None) -> tuple[Row, str | None]:
    """The row as `prepare` cleans rows, and why it cannot be used, if so."""
    clean = clean_lines if settings.fix_encoding else str.strip
    if "prompt" not in row:
        clean = clean_text if settings.fix_encoding else squeeze_text
    row = _with_texts(row, lambda text: clean(html_to_text(text) if settings.strip_html else text))
    texts = _texts(row)
    if not all(texts):
        return row, "empty_text"
    if any(is_broken(text.replace("\n", " ").replace("\t", " ")) for text in texts):
        return row, "broken_encoding"
    if sum(map(len, texts)) > settings.max_chars and "prompt" in row:  # plain texts are cut into pieces
        return row, "too_long"
    look: dict[str, Any] = {"kinds": settings.personal_kinds, "regions": settings.phone_regions, "more": find_more}
    if settings.personal_data != "keep" and count_personal(texts, **look):
        if settings.personal_data == "quarantine":
            return row, "personal_data"
        row = _with_texts(row, partial(redact, **look))
    return row, None


def _texts(row: Row) -> list[str]:
    if "prompt" not in row:
        return [row["text"]]
    return [turn["content"] for turn in row["prompt"]] + [row[part] for part in _PARTS[1:] if part in row]


def _with_texts(row: Row, change: Callable[[str], str]) -> Row:
    if "prompt" not in row:
        return {**row, "text": change(row["text"])}
    prompt = [{**turn, "content": change(turn["content"])} for turn in row["prompt"]]
    answers = {part: change(row[part]) for part in _PARTS[1:] if part in row}
    return {**row, "prompt": prompt, "text": "\n".join(turn["content"] for turn in prompt), **answers}


def _too_few(rows: Sequence[Row]) -> list[str]:
    """Ratings need two rows to compare, thumbs one of each kind."""
    if len(rows) < 2:
        return [f"{len(rows)} rows are left for method.prefer, wanted at least 2"]
    if "rating" in rows[0] and len({row["rating"] for row in rows}) < 2:
        up = sum(row["rating"] for row in rows)
        return [f"method.prefer has {up} good and {len(rows) - up} bad ratings, wanted some of both"]
    return []
