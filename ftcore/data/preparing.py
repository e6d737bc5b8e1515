"""From raw splits to what a model trains on: cleaned, deduplicated, leak-free; what is set aside is kept with its reason."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ftcore.data.cleaning import has_mojibake
from ftcore.data.faults import RowFault
from ftcore.data.leakage import Embed, Leak, leaked_fraction, leaked_rows, leaks_between
from ftcore.data.personal import Finder, count_personal, redact
from ftcore.data.rows import clean_row, fault_of, identity_of, row_digest, texts_of, with_texts
from ftcore.data.splitting import SPLITS
from ftcore.records import digest_of
from ftcore.spec import LeakageSpec, PrepareSpec, Split, ValidationSpec

Row = dict[str, Any]
LEAKED_VALIDATION = "leaked_validation"
PERSONAL_DATA = "personal_data"


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
    personal: list[dict[str, Any]] = field(default_factory=list)
    """Rows with personal data before redaction: {id, split, kinds: {kind: hits}}; never a value."""

    num_repaired: int = 0
    """Texts whose mojibake was mended."""

    def set_aside(self, row: Row, split: str, reason: str, twin: str | None = None) -> None:
        self.quarantine.append({"id": row["id"], "split": split, "reason": reason} | ({"twin": twin} if twin else {}))

    @property
    def num_quarantined(self) -> dict[str, int]:
        """Rows per reason, sorted."""
        return dict(sorted(Counter(item["reason"] for item in self.quarantine).items()))

    @property
    def num_personal(self) -> dict[str, int]:
        """Rows per kind of personal data, sorted."""
        return dict(sorted(Counter(kind for item in self.personal for kind in item["kinds"]).items()))


def prepare_splits(
    raw: Mapping[Split, Sequence[Row]],
    prepare: PrepareSpec,
    leakage: LeakageSpec,
    validation: ValidationSpec,
    malformed: Sequence[RowFault] = (),
    unfit: Mapping[str, str] | None = None,
    released: Collection[str] = (),
    embed: Embed | None = None,
    find_more: Finder | None = None,
) -> Prepared:
    """Clean, deal with personal data, deduplicate, take leaked rows out of train and validation, and make the label list.

    Test rows leave the holdout only when they cannot be judged (no text, no label, broken, contradictory) or repeat another
    test row; never because they leaked, and never because their label is unknown: that is a refusal. Train rows that repeat a
    validation row leave train as well, or early stopping would look at rows it was trained on; no reason to refuse the set.

    Args:
        malformed: Rows that reading left out, before they had a split: they count as set aside.
        unfit: Row id -> reason, for rows that others (validation) ask to be set aside.
        released: Ids of rows that a person has released: personal data does not set them aside.
        embed: For paraphrases, where they count as leaks (`leakage.paraphrases: leak`).
        find_more: Finds personal data beside the built-in detectors (`prepare.personal_engine`).
    """
    prepared = Prepared({split: [] for split in SPLITS})
    for fault in malformed:
        prepared.set_aside({"id": fault.id}, "unread", fault.reason)
    for split in SPLITS:
        rows = _clean(raw.get(split, ()), split, prepare, unfit or {}, released, prepared, find_more)
        prepared.splits[split] = _deduplicate(rows, split, prepared) if prepare.deduplicate else rows
    _remove_leaked(prepared, leakage, embed)
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


def _clean(
    rows: Sequence[Row],
    split: str,
    settings: PrepareSpec,
    unfit: Mapping[str, str],
    released: Collection[str],
    prepared: Prepared,
    find_more: Finder | None,
) -> list[Row]:
    kept = []
    look: dict[str, Any] = {"kinds": settings.personal_kinds, "regions": settings.phone_regions, "more": find_more}
    for row in rows:
        reason = unfit.get(row["id"])
        if not reason:
            if settings.fix_encoding:
                prepared.num_repaired += sum(map(has_mojibake, texts_of(row)))
            row = clean_row(row, settings)
            reason = fault_of(row, settings.max_chars)
        if (
            not reason
        ):  # a row that is too long is not searched, either: that costs up to a second for 10,000 characters
            found = count_personal(texts_of(row), **look)
            if found:
                prepared.personal.append({"id": row["id"], "split": split, "kinds": found})
            if found and settings.personal_data == "redact":
                row = with_texts(row, partial(redact, **look))
            if found and settings.personal_data == "quarantine" and row["id"] not in released:
                reason = PERSONAL_DATA
        if reason:
            prepared.set_aside(row, split, reason)
        else:
            kept.append(row)
    return kept


def _deduplicate(rows: Sequence[Row], split: str, prepared: Prepared) -> list[Row]:
    """Keep the first of rows with the same normalised text; if their labels disagree, keep none: nobody knows which is right.

    A question may have several good answers: generation rows are the same only if their completions are, too.
    """
    twins: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        twins[identity_of(row)].append(row)
    kept = []
    for row in rows:
        same = twins[identity_of(row)]
        if len({twin.get("label") for twin in same}) > 1:
            other = next(twin for twin in same if twin["label"] != row["label"])
            prepared.set_aside(row, split, "conflicting_label", other["id"])
        elif row is not same[0]:
            prepared.set_aside(row, split, "duplicate", same[0]["id"])
        else:
            kept.append(row)
    return kept


def _remove_leaked(prepared: Prepared, leakage: LeakageSpec, embed: Embed | None) -> None:
    test = prepared.splits["test"]
    leaks: list[Leak] = []
    for split in ("train", "validation"):
        leaks += _take_out(prepared, split, test, leakage, embed, "leaked")
    _take_out(prepared, "train", prepared.splits["validation"], leakage, embed, LEAKED_VALIDATION)
    fraction = leaked_fraction(leaks, len(test))
    if fraction > leakage.max_leaked:
        count = len(leaked_rows(leaks))
        prepared.refused.append(
            f"{count} of {len(test)} test rows ({fraction:.2%}) have a twin in train or validation after cleaning, wanted at "
            f"most {leakage.max_leaked:.2%} (leakage.max_leaked)"
        )


def _take_out(
    prepared: Prepared, split: Split, held_out: list[Row], leakage: LeakageSpec, embed: Embed | None, reason: str
) -> list[Leak]:
    """Set aside the rows of `split` that have a twin in `held_out`; the leaks found."""
    rows = prepared.splits[split]
    found = leaks_between(rows, held_out, leakage, embed)
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
    return digest_of(sorted(row_digest(row) for row in rows))
