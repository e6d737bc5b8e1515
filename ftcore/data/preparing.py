"""From raw splits to what a model trains on: cleaned, deduplicated, leak-free; what is set aside is kept with its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ftcore.data.cleaning import clean_lines, clean_text, is_broken, normalise_for_match, squeeze_text
from ftcore.data.conversations import generation_row
from ftcore.data.faults import RowFault
from ftcore.data.leakage import Leak, find_leaks, leaked_fraction
from ftcore.data.splitting import SPLITS
from ftcore.records import digest_of
from ftcore.spec import LeakageSpec, PrepareSpec, Split, ValidationSpec

Row = dict[str, Any]
LEAKED_VALIDATION = "leaked_validation"


@dataclass
class Prepared:
    """Rows by split, the label list, and the rows set aside: {id, split, reason} and, for twins, `twin` (its id).

    The split of a row that could not be read is `unread`.
    """

    splits: dict[Split, list[Row]]
    labels: list[str] = field(default_factory=list)
    quarantine: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Why nothing may be trained on this."""

    def set_aside(self, row: Row, split: str, reason: str, twin: str | None = None) -> None:
        self.quarantine.append({"id": row["id"], "split": split, "reason": reason} | ({"twin": twin} if twin else {}))

    @property
    def num_quarantined(self) -> dict[str, int]:
        """Rows per reason, sorted."""
        return dict(sorted(Counter(item["reason"] for item in self.quarantine).items()))


def prepare_splits(
    raw: Mapping[Split, Sequence[Row]],
    prepare: PrepareSpec,
    leakage: LeakageSpec,
    validation: ValidationSpec,
    malformed: Sequence[RowFault] = (),
) -> Prepared:
    """Clean, deduplicate, take leaked rows out of train and validation, and make the label list.

    Test rows leave the holdout only when they cannot be judged (no text, no label, broken, contradictory) or repeat another
    test row; never because they leaked, and never because their label is unknown: that is a refusal. Train rows that repeat a
    validation row leave train as well, or early stopping would look at rows it was trained on; no reason to refuse the set.

    Args:
        malformed: Rows that reading left out, before they had a split: they count as set aside.
    """
    prepared = Prepared({split: [] for split in SPLITS})
    for fault in malformed:
        prepared.set_aside({"id": fault.id}, "unread", fault.reason)
    for split in SPLITS:
        rows = _clean(raw.get(split, ()), split, prepare, prepared)
        prepared.splits[split] = _deduplicate(rows, split, prepared) if prepare.deduplicate else rows
    _remove_leaked(prepared, leakage)
    _map_labels(prepared)
    num_rows = sum(len(rows) for rows in raw.values()) + len(malformed)
    counts = {reason: count for reason, count in prepared.num_quarantined.items() if reason != LEAKED_VALIDATION}
    fraction = sum(counts.values()) / num_rows if num_rows else 0.0
    if fraction > validation.max_quarantined:
        reasons = ", ".join(f"{reason} {count}" for reason, count in counts.items())
        prepared.refused.append(
            f"{sum(counts.values())} of {num_rows} rows ({fraction:.2%}) were set aside ({reasons}); wanted at most "
            f"{validation.max_quarantined:.2%} (validation.max_quarantined); quarantine.jsonl names them"
        )
    prepared.refused += [
        f"{split} has 0 rows left, wanted at least 1" for split in SPLITS if not prepared.splits[split]
    ]
    return prepared


def _clean(rows: Sequence[Row], split: str, settings: PrepareSpec, prepared: Prepared) -> list[Row]:
    kept = []
    for row in rows:
        cleaned = (_clean_conversation if "messages" in row else _clean_text)(row, settings)
        reason = _fault(cleaned, settings.max_chars)
        if reason:
            prepared.set_aside(row, split, reason)
        else:
            kept.append(cleaned)
    return kept


def _clean_text(row: Row, settings: PrepareSpec) -> Row:
    return {**row, "text": (clean_text if settings.fix_encoding else squeeze_text)(row["text"] or "")}


def _clean_conversation(row: Row, settings: PrepareSpec) -> Row:
    clean = clean_lines if settings.fix_encoding else str.strip
    return {**row, **generation_row([{**turn, "content": clean(turn["content"])} for turn in row["messages"]])}


def _fault(row: Row, max_chars: int) -> str | None:
    """Why a cleaned row cannot be used, in one word; None: it can."""
    if "messages" in row:
        texts = [turn["content"] for turn in row["messages"]]
        if not all(texts):
            return "empty_text"
    else:
        texts = [row["text"]]
        if not row["text"]:
            return "empty_text"
        if not row["label"]:
            return "missing_label"
    if any(is_broken(text.replace("\n", " ").replace("\t", " ")) for text in texts):
        return "broken_encoding"
    return "too_long" if sum(map(len, texts)) > max_chars else None


def _deduplicate(rows: Sequence[Row], split: str, prepared: Prepared) -> list[Row]:
    """Keep the first of rows with the same normalised text; if their labels disagree, keep none: nobody knows which is right.

    A question may have several good answers: generation rows are the same only if their completions are, too.
    """
    twins: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        twins[_identity(row)].append(row)
    kept = []
    for row in rows:
        same = twins[_identity(row)]
        if len({twin.get("label") for twin in same}) > 1:
            other = next(twin for twin in same if twin["label"] != row["label"])
            prepared.set_aside(row, split, "conflicting_label", other["id"])
        elif row is not same[0]:
            prepared.set_aside(row, split, "duplicate", same[0]["id"])
        else:
            kept.append(row)
    return kept


def _identity(row: Row) -> str:
    text = normalise_for_match(row["text"])
    return f"{text}\n{normalise_for_match(row['completion'])}" if "messages" in row else text


def _remove_leaked(prepared: Prepared, leakage: LeakageSpec) -> None:
    test = prepared.splits["test"]
    leaks: list[Leak] = []
    for split in ("train", "validation"):
        leaks += _take_out(prepared, split, test, leakage, "leaked")
    _take_out(prepared, "train", prepared.splits["validation"], leakage, LEAKED_VALIDATION)
    fraction = leaked_fraction(leaks, len(test))
    if fraction > leakage.max_leaked:
        count = len({leak.test_row for leak in leaks})
        prepared.refused.append(
            f"{count} of {len(test)} test rows ({fraction:.2%}) have a twin in train or validation after cleaning, wanted at "
            f"most {leakage.max_leaked:.2%} (leakage.max_leaked)"
        )


def _take_out(prepared: Prepared, split: Split, held_out: list[Row], leakage: LeakageSpec, reason: str) -> list[Leak]:
    """Set aside the rows of `split` that have a twin in `held_out`; the leaks found."""
    rows = prepared.splits[split]
    found = find_leaks(rows, held_out, leakage.rules)
    twins = {
        leak.train_row: None if leak.test_row is None else held_out[leak.test_row]["id"]
        for leak in found
        if leak.train_row is not None
    }
    for number, twin in sorted(twins.items()):
        prepared.set_aside(rows[number], split, reason, twin)
    prepared.splits[split] = [row for number, row in enumerate(rows) if number not in twins]
    return found


def _map_labels(prepared: Prepared) -> None:
    if any("messages" in row for rows in prepared.splits.values() for row in rows):
        return
    prepared.labels = sorted({row["label"] for row in prepared.splits["train"]})
    known = set(prepared.labels)
    for row in prepared.splits["validation"]:
        if row["label"] not in known:  # its loss is not defined
            prepared.set_aside(row, "validation", "unknown_label")
    prepared.splits["validation"] = [row for row in prepared.splits["validation"] if row["label"] in known]
    unknown = sorted({row["label"] for row in prepared.splits["test"]} - known)
    if unknown:
        prepared.refused.append(f"test has labels that train lacks after cleaning: {', '.join(unknown[:8])}")


def holdout_identity(rows: Sequence[Row]) -> str:
    """Identity of a holdout: SHA-256 over its sorted row digests (id, text, label or messages): order does not matter."""
    return digest_of(sorted(digest_of([row["id"], row["text"], row.get("messages") or row["label"]]) for row in rows))
