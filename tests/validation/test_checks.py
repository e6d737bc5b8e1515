from __future__ import annotations

from ftcore.data.leakage import Leak
from ftcore.validation.checks import cross_split_faults, leak_faults


def rows(prefix: str, *labels: str | None) -> list[dict[str, str | None]]:
    return [{"id": f"{prefix}{n}", "text": "x", "label": label} for n, label in enumerate(labels)]


def test_unknown_labels_in_test_are_named() -> None:
    splits = {"train": rows("t", "a", "b"), "validation": rows("v", "c"), "test": rows("x", "a", "zeta", "zeta", None)}
    (fault,) = cross_split_faults(splits)  # type: ignore[arg-type]
    assert "2 rows with a label that train lacks: zeta" in fault
    assert "train has 2: a, b" in fault


def test_one_label_and_shared_ids() -> None:
    splits = {"train": rows("t", "a", "a"), "validation": [], "test": rows("t", "a")}
    faults = cross_split_faults(splits)  # type: ignore[arg-type]
    assert "only one label (a)" in faults[0]
    assert "1 id is in more than one split, wanted each in one: t0" in faults[1]


def test_healthy_splits() -> None:
    splits = {"train": rows("t", "a", "b"), "validation": rows("v", "a"), "test": rows("x", "b")}
    assert cross_split_faults(splits) == []  # type: ignore[arg-type]


def test_leak_budget() -> None:
    leaks = [Leak("exact", 0, 0, 1.0), Leak("exact", 0, 1, 1.0)]
    assert leak_faults(leaks, 50, 0.02) == []
    assert "1 of 49 test rows (2.04%)" in leak_faults(leaks, 49, 0.02)[0]
    assert leak_faults([], 0, 0.0) == []
