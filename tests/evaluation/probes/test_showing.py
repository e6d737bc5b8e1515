from __future__ import annotations

from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.evaluation.probes.showing import HEADS, table_cells

PAIRS = (("candidate", "champion"), ("candidate", "reference"))


def test_shares_are_in_percent_and_what_is_not_there_is_a_dash() -> None:
    counts = {"candidate": share([True] * 30 + [False] * 10), "reference": share([False] * 40)}
    cells = table_cells([Measure("groundedness", "numbers", "answers", counts).to_dict(PAIRS) or {}])[0]
    found = dict(zip(HEADS, cells, strict=True))
    assert found["candidate"].startswith("75.0 % (") and found["champion"] == found["candidate - champion"] == "–"
    assert found["other"].startswith("reference 0.0 % (") and found["candidate - other"].startswith("+75.0 (")
    assert found["n"] == "40" and found["probe"] == "groundedness numbers"


def test_losses_are_shown_as_they_are() -> None:
    counts = {role: ratio([1.0, 2.0, 2.5], [1, 1, 1]) for role in ("candidate", "base")}
    measure = Measure("forgetting", "bits_per_byte", "loss", counts, "loss").to_dict((("candidate", "base"),))
    found = dict(zip(HEADS, table_cells([measure or {}])[0], strict=True))
    assert found["other"].startswith("base 1.833 (") and found["candidate - other"] == "+0.000 (+0.000 to +0.000)"
    one = Measure("forgetting", "bits_per_byte", "loss", {"candidate": ratio([1.0])}, "loss").to_dict(())
    assert "∞" in table_cells([one or {}])[0][3]
