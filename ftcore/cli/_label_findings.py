"""What `ftcore leakage --label-field` tells about labels: contradictions, and columns that give them away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ftcore.cli._output import print_line

if TYPE_CHECKING:
    from ftcore.data.leakage import Leak

_SHOWN = 3
Rows = Sequence[Mapping[str, Any]]


def place_of(row: Mapping[str, Any]) -> int:
    """Place of a row in its file: malformed rows before it count, too."""
    return int(row["id"].rpartition(":")[2])


def find_conflicts(leaks: Sequence[Leak], train: Rows, test: Rows, similarity: float) -> list[dict[str, Any]]:
    """Pairs of rows that say the same, or nearly, under different labels: within train, within test, and across."""
    from ftcore.data.leakage.labels import conflicting_leaks, conflicting_rows

    found = []
    for split, rows in (("train", train), ("test", test)):
        pairs = conflicting_rows(rows, similarity)
        found += [_conflict((split, rows[one]), (split, rows[other]), score) for one, other, score in pairs]
    for leak in conflicting_leaks(leaks, train, test):
        assert leak.test_row is not None
        assert leak.train_row is not None
        found.append(_conflict(("test", test[leak.test_row]), ("train", train[leak.train_row]), leak.score))
    return found


def _conflict(one: tuple[str, Mapping[str, Any]], other: tuple[str, Mapping[str, Any]], score: float) -> dict[str, Any]:
    sides = [{"split": split, "row": place_of(row), "label": row.get("label")} for split, row in (one, other)]
    return {"rows": sides, "score": round(score, 4)}


def probe_columns(
    columns: Mapping[str, Mapping[str, Sequence[str | None]]], labels: Mapping[str, Sequence[str | None]]
) -> list[dict[str, Any]]:
    """How well each column alone predicts the label, in each split; `auc` is None where there is too little to say.

    Args:
        columns: Split -> column -> its values.
        labels: Split -> labels of the same rows.
    """
    from ftcore.data.leakage.labels import probe_metadata

    found = []
    for split, by_name in columns.items():
        for name, values in by_name.items():
            rows = [{"label": label, "value": value} for label, value in zip(labels[split], values, strict=True)]
            probes = probe_metadata(rows, ["value"])
            found.append(
                {
                    "split": split,
                    "column": name,
                    "auc": probes[0].auc if probes else None,
                    "suspicious": bool(probes) and probes[0].suspicious,
                }
            )
    return found


def print_conflicts(conflicts: Sequence[Mapping[str, Any]], texts: Mapping[str, Mapping[int, str]]) -> None:
    """Counts, and the most similar pairs of each kind.

    Args:
        texts: Split -> place of the row -> its text.
    """
    from ftcore.data.leakage.evidence import align, as_line

    kinds = {"within train": ("train", "train"), "within test": ("test", "test"), "across": ("test", "train")}
    by_kind = {
        kind: [item for item in conflicts if tuple(side["split"] for side in item["rows"]) == splits]
        for kind, splits in kinds.items()
    }
    counts = ", ".join(f"{len(found):,} {kind}" for kind, found in by_kind.items())
    print_line(f"\n{len(conflicts):,} pairs say (nearly) the same under different labels: {counts}")
    for found in by_kind.values():
        for item in sorted(found, key=lambda item: -item["score"])[:_SHOWN]:
            one, other = item["rows"]
            places = " = ".join(f"{side['split']} row {side['row']}" for side in (one, other))
            print_line(f"\n  {places}: {_name(one['label'])} or {_name(other['label'])}, {item['score']:.2f}")
            old, new = texts[other["split"]][other["row"]], texts[one["split"]][one["row"]]
            print_line(f"    {as_line(align(old, new))}")


def print_probes(probes: Sequence[Mapping[str, Any]]) -> None:
    from ftcore.data.leakage.labels import MAX_AUC

    print_line(
        f"\nLabels told from one column alone (AUC; 0.5: not at all; {MAX_AUC} and more: the column gives them away)"
    )
    for probe in probes:
        said = "too few rows, labels or values to say" if probe["auc"] is None else f"{probe['auc']:.2f}"
        print_line(
            f"  {probe['split']:<6}{said}  {probe['column']}{': gives labels away' if probe['suspicious'] else ''}"
        )


def _name(label: object) -> str:
    text = str(label)
    return repr(text if len(text) <= 40 else f"{text[:39]}…")
