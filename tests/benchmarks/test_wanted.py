"""A missed figure is said and ends a benchmark with 1."""

from __future__ import annotations

import math

import pytest

from benchmarks.wanted import Wanted, exit_status


def test_the_status_tells_of_one_missed_figure(capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = Wanted("ratio", 2.04, least=2), Wanted("difference, s", 1.61, most=1.5)
    assert exit_status([good]) == 0
    assert exit_status([good, bad]) == 1
    assert "met: ratio 2.04, wanted at least 2" in capsys.readouterr().out
    assert bad.line() == "MISSED: difference, s 1.61, wanted at most 1.5"


def test_no_number_is_no_proof() -> None:
    assert not Wanted("x", math.nan, least=0).met
    assert not Wanted("x", math.nan, most=9).met
    assert Wanted("x", 1, least=1, most=1).met
