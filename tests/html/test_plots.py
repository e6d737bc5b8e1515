from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from ftcore.html.elements import to_html
from ftcore.html.plots import Point, points
from tests.html.reading import read
from tests.html.test_elements import ANY

SHARES = st.floats(0.0, 1.0)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), SHARES, SHARES, SHARES), max_size=12), st.booleans())
def test_every_point_lies_within_the_drawing(values: list[tuple[float, float, float, float]], diagonal: bool) -> None:
    line = [Point(x, y, min(low, y), max(high, y)) for x, y, low, high in sorted(values)]
    made = to_html(points("t", {"one": line}, "rows", diagonal=diagonal))
    assert made.count("<circle") == len(line) and made.count("whisker") == len(line)
    heights = [float(value) for value in re.findall(r' (?:cy|y1|y2)="(-?[\d.]+)"', made)]
    assert all(0 <= value <= 210 for value in heights)
    assert all(0 <= float(value) <= 100 for value in re.findall(r' cx="(-?[\d.]+)%"', made))


def test_higher_shares_lie_higher_and_expected_ones_are_dashed() -> None:
    series = {"seen": [Point(1, 0.5, 0.4, 0.6), Point(2, 0.7)], "expected": [Point(2, 0.7), Point(4, 0.8)]}
    made = to_html(points("t", series, "rows", dashed=["expected"]))
    first, second = (float(value) for value in re.findall(r'cy="([\d.]+)"', made)[:2])
    assert first > second and made.count("dashed") == 1 and made.count("whisker") == 1
    assert "seen: 50 % at 1, 70 % at 2" in made and "expected" in "".join(read(made).text)


@given(ANY)
def test_names_stay_text(text: str) -> None:
    seen = read(to_html(points(text, {text: [Point(0, 0.5)], f"{text}2": [Point(1, 1.0)]}, text, note=text)))
    assert not {tag for tag, _ in seen.outline} & {"script", "img"}
