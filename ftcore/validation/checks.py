"""What Great Expectations cannot see because it looks at one split at a time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.data.leakage import Leak, leaked_fraction, leaked_rows
from ftcore.errors import num_of
from ftcore.spec import Split

Row = Mapping[str, Any]


def cross_split_faults(splits: Mapping[Split, Sequence[Row]]) -> list[str]:
    """Reasons to refuse that concern several splits; empty: none.

    - a label in test that train lacks: no model could ever be right on it;
    - one label only in train: there is nothing to learn;
    - one id in several splits: the same record on both sides.
    """
    faults = []
    trained = _labels(splits["train"])
    unknown = sorted(_labels(splits["test"]) - trained)
    if trained and unknown:
        count = sum(row.get("label") in unknown for row in splits["test"])
        faults.append(
            f"test has {num_of(count, 'row')} with {'labels' if len(unknown) > 1 else 'a label'} that train lacks: "
            f"{_names(unknown)}; wanted every test label in train "
            f"(train has {len(trained)}: {_names(sorted(trained))})"
        )
    if len(trained) == 1:
        faults.append(f"train has only one label ({_names(sorted(trained))}), wanted at least two")
    owners = Counter(
        row["id"] for rows in splits.values() for row in {row.get("id"): row for row in rows}.values() if row.get("id")
    )
    shared = sorted(row_id for row_id, count in owners.items() if count > 1)
    if shared:
        faults.append(
            f"{num_of(len(shared), 'id is', 'ids are')} in more than one split, wanted each in one: {_names(shared)}"
        )
    return faults


def leak_faults(leaks: Sequence[Leak], num_test: int, max_leaked: float) -> list[str]:
    """A reason to refuse if more of test has leaked than `leakage.max_leaked` allows."""
    fraction = leaked_fraction(leaks, num_test)
    if fraction <= max_leaked:
        return []
    count = len(leaked_rows(leaks))
    return [
        f"{count} of {num_test} test rows ({fraction:.2%}) have a twin in train or validation, wanted at most {max_leaked:.2%} "
        "(leakage.max_leaked); leaks.jsonl names the pairs"
    ]


def quarantine_faults(quarantine: Mapping[str, str], num_rows: int, max_quarantined: float) -> list[str]:
    """A reason to refuse if expectations want more rows set aside than `validation.max_quarantined` allows."""
    share = len(quarantine) / num_rows if num_rows else 0.0
    if share <= max_quarantined:
        return []
    reasons = ", ".join(f"{reason} {count}" for reason, count in Counter(quarantine.values()).most_common())
    return [
        f"{len(quarantine)} of {num_rows} rows ({share:.2%}) are to be set aside ({reasons}), wanted at most "
        f"{max_quarantined:.2%} (validation.max_quarantined); findings.json names them"
    ]


def _labels(rows: Sequence[Row]) -> set[str]:
    return {row["label"] for row in rows if row.get("label")}


def _names(values: Sequence[str], limit: int = 8) -> str:
    listed = [value if len(value) <= 40 else f"{value[:39]}…" for value in values]
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
