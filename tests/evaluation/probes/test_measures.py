from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.evaluation.statistics.intervals import wilson

PAIRS = (("candidate", "champion"),)


def made(kind: Any, ceiling: float = 1.0, **counts: Any) -> dict[str, Any]:
    found = Measure("probe", "name", "what", counts, kind, ceiling=ceiling).to_dict(PAIRS)
    assert found is not None
    return found


def test_a_share_has_wilsons_interval_and_an_adjusted_difference() -> None:
    found = made("share", candidate=share([True] * 8 + [False] * 2), champion=share([False] * 10))
    assert found["models"]["candidate"]["value"] == 0.8 and found["n"] == 10
    seen = found["models"]["candidate"]
    assert (seen["ci_low"], seen["ci_high"]) == pytest.approx(wilson(8, 10))
    assert found["models"]["champion"]["ci_high"] > 0.2  # ten rows without one are no certainty
    (difference,) = found["differences"]
    assert (
        difference["difference"] == pytest.approx(0.8) and 0 < difference["ci_low"] < 0.8 < 0.96 < difference["ci_high"]
    )


def test_a_ratio_is_one_of_sums_and_not_a_mean_of_rows() -> None:
    found = made("ratio", candidate=ratio([1, 9], [1, 19]), champion=ratio([0, 5], [5, 15]))
    assert found["models"]["candidate"]["value"] == 0.5 and found["differences"][0]["difference"] == pytest.approx(0.25)


def test_a_loss_may_lie_above_one_and_a_ratio_below_its_ceiling() -> None:
    rng = np.random.default_rng(1)
    size = rng.integers(100, 400, 40)
    ours = ratio(size * rng.normal(2.0, 0.2, 40), size)
    theirs = ours + np.stack([0.3 * size * rng.normal(1, 0.1, 40), 0 * size], axis=1)
    found = made("loss", candidate=theirs, champion=ours)
    difference = found["differences"][0]
    assert difference["ci_low"] < 0.3 < difference["ci_high"] and difference["ci_low"] > 0.25
    assert found["models"]["champion"]["ci_low"] < 2.0 < found["models"]["champion"]["ci_high"]
    bits = made("ratio", 7.0, candidate=ratio(rng.uniform(0, 7, 30)))["models"]["candidate"]
    assert 1 < bits["ci_low"] < bits["value"] < bits["ci_high"] < 7
    all_out = made("ratio", 7.0, candidate=ratio([7.0] * 5))["models"]["candidate"]
    assert all_out["value"] == all_out["ci_high"] == 7.0 > all_out["ci_low"]


def test_there_is_no_measure_without_anything_to_divide_by() -> None:
    assert Measure("p", "n", "w", {"candidate": ratio([0, 0], [0, 0])}, "ratio").to_dict(PAIRS) is None
    assert Measure("p", "n", "w", {"candidate": share([])}).to_dict(PAIRS) is None


def test_rows_of_one_group_count_as_fewer() -> None:
    counts = share([True, True, True, True, False, False, False, False])
    alone = Measure("p", "n", "w", {"candidate": counts}).to_dict(())
    grouped = Measure("p", "n", "w", {"candidate": counts}, groups=np.array([0, 0, 1, 1, 2, 2, 3, 3])).to_dict(())
    assert alone is not None and grouped is not None
    assert grouped["models"]["candidate"]["ci_high"] > alone["models"]["candidate"]["ci_high"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=30))
def test_a_share_lies_in_its_interval_and_turning_the_pair_turns_the_sign(rows: list[tuple[bool, bool]]) -> None:
    ours, theirs = (share(list(column)) for column in zip(*rows, strict=True))
    found, turned = (made("share", candidate=a, champion=b) for a, b in ((ours, theirs), (theirs, ours)))
    for item in found["models"].values():
        assert 0 <= item["ci_low"] <= item["value"] <= item["ci_high"] <= 1
    one, other = found["differences"][0], turned["differences"][0]
    assert one["difference"] == -other["difference"] and one["ci_low"] == pytest.approx(-other["ci_high"])
