from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.html.charts import OTHERS, Bar, bars, curve, histogram, stacked, top
from ftcore.html.elements import Element, to_html
from tests.html.reading import read
from tests.html.test_elements import ANY


def attributes(chart: Element, tag: str, name: str) -> list[float]:
    return [float(value) for value in re.findall(rf'<{tag}[^>]* {name}="([\d.]+)%?"', to_html(chart))]


def widths(chart: Element) -> list[float]:
    """Of the shapes, without the key."""
    return [float(value) for value in re.findall(r'<rect[^>]* width="([\d.]+)%"', to_html(chart))]


def test_the_largest_are_kept_and_the_rest_is_added_up() -> None:
    assert top({"a": 1, "b": 5, "c": 2, "d": 1}, 2) == {"b": 5, "c": 2, OTHERS: 2}
    assert top({"a": 1, "b": 5}, 2) == {"b": 5, "a": 1}


def test_bars_share_one_scale_and_others_do_not_set_it() -> None:
    rows = [Bar("a", (0.4, 0.2), "4"), Bar("b", (0.1, 0.0), "1"), Bar(OTHERS, (9.0, 9.0), "90")]
    assert widths(bars("t", rows, ["one", "two"])) == [100.0, 50.0, 25.0, 0.0]


def test_rows_beyond_the_fold_are_unfolded() -> None:
    made = to_html(bars("t", [Bar(str(n), (1.0,), "1") for n in range(5)], ["one"], fold=3))
    assert "<summary>2 more</summary>" in made
    assert made.count("<rect") == 5


def test_histogram_heights_are_shares_and_every_value_is_in_a_bin() -> None:
    chart = histogram("t", {"one": [1, 1, 1, 2], "none": []}, "words")
    heights = [float(value) for value in re.findall(r'<rect[^>]* height="([\d.]+)"', to_html(chart))]
    assert heights[-2:] == [140.0, pytest.approx(140 / 3, abs=0.1)]
    assert "one: median 1, 95 % up to 2" in to_html(chart)
    assert "none" not in read(to_html(chart)).text


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=60))
def test_histogram_takes_any_numbers_and_stays_in_its_frame(values: list[int]) -> None:
    chart = histogram("t", {"one": values}, "words", mark=(64, "limit"))
    assert all(0 <= left <= 100 for left in attributes(chart, "rect", "x"))


def test_the_mark_is_drawn_where_it_lies_in_sight() -> None:
    assert "limit" in to_html(histogram("t", {"one": [1, 100]}, "words", mark=(50, "limit")))
    assert "limit" not in to_html(histogram("t", {"one": [1, 10]}, "words", mark=(50, "limit")))


def test_stacked_shares_add_up_and_rare_parts_become_others() -> None:
    chart = stacked("t", {"train": {f"s{n}": 10 - n for n in range(10)}, "test": {"s0": 3, "s9": 1}}, limit=4)
    shares = widths(chart)
    assert sum(shares[:4]) == pytest.approx(100, abs=0.05)
    assert sum(shares[4:]) == pytest.approx(100, abs=0.05)
    assert OTHERS in read(to_html(chart)).text
    assert shares[4:] == [75.0, 25.0]


def test_curve_says_its_points_and_marks_the_threshold() -> None:
    made = to_html(curve("t", {"a": [(0.5, 0.2), (1.0, 0.0)]}, "x", mark=(0.75, "here")))
    assert "a: 20 % at 0.5, 0 % at 1" in made
    assert 'x1="50.00%" x2="50.00%"' in made
    assert ">here</text>" in made


@given(ANY)
def test_names_in_charts_stay_text(text: str) -> None:
    def drawn(name: str) -> str:
        return to_html(
            Element("main", (), (
                bars(name, [Bar(name, (1.0,), name)], [name], note=name or "-"),
                histogram(name, {name: [1, 2]}, name, mark=(1, name)),
                stacked(name, {name: {name: 1}}, note=name or "-"),
                curve(name, {name: [(0, 0), (1, 1)]}, name, mark=(0.5, name)),
            ))
        )  # fmt: skip

    seen, plain = read(drawn(text)), read(drawn("x"))
    assert seen.outline == plain.outline
