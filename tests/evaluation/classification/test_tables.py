from __future__ import annotations

import pytest

from ftcore.evaluation.classification.tables import confusion_matrix, per_class, per_slice
from ftcore.evaluation.rows import Column, holdout_of


def test_tables_carry_n() -> None:
    column = Column.of(["web", "mail", None, "web"])
    holdout = holdout_of(
        Column.of(["a", "b", "b", "b"]), {"candidate": Column.of(["a", "a", "b", "z"])}, slices={"source": column}
    )
    assert confusion_matrix(holdout, "candidate") == [[1, 0, 0], [1, 1, 1], [0, 0, 0]]
    lines = {line["label"]: line for line in per_class(holdout, "candidate")}
    assert lines["b"]["n"] == 3 and lines["b"]["recall"] == pytest.approx(1 / 3)
    assert lines["z"]["n"] == 0 and lines["z"]["recall"] is None
    assert [(line["value"], line["n"], line["accuracy"]) for line in per_slice(holdout, "candidate")] == [
        ("web", 2, 0.5),
        ("mail", 1, 0.0),
    ]
