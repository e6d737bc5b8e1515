"""Charts of the drift report: the reference beside the current window."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ftcore.html import charts
from ftcore.html.elements import Element, element

SIDES = ("reference", "current window")
_COLOURS = ("before", "now")
_MAX_CLASSES = 14


def label_chart(title: str, reference: Sequence[str], current: Sequence[str]) -> Element:
    """Paired bars, share of each class before and now, the largest changes first."""
    before, now = Counter(reference), Counter(current)
    shares = {name: (before[name] / max(1, len(reference)), now[name] / max(1, len(current))) for name in before | now}
    ordered = sorted(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))[:_MAX_CLASSES]
    rows = [charts.Bar(name, shares[name], f"{100 * (shares[name][1] - shares[name][0]):+.1f} pts") for name in ordered]
    return charts.bars(title, rows, SIDES, colours=_COLOURS)


def histogram(title: str, reference: NDArray[np.floating], current: NDArray[np.floating], unit: str) -> Element:
    """Two distributions as shares over common bins."""
    values = {side: numbers.tolist() for side, numbers in zip(SIDES, (reference, current), strict=True)}
    return charts.histogram(title, values, unit, colours=_COLOURS)


def effect_bar(effect: float, floor: float, strong: bool) -> Element:
    """The effect as a bar on 0 to 0.5, with a tick at the floor."""
    width = 150
    length, tick = min(1.0, effect / 0.5) * width, min(1.0, floor / 0.5) * width
    return element(
        "svg",
        element("title", f"effect {effect:.3f}, floor {floor:g}"),
        element("rect", x=0, y=5, width=width, height=8, rx=4, class_="track"),
        element("rect", x=0, y=5, width=round(length, 1), height=8, rx=4, class_="bad-fill" if strong else "good-fill"),
        element("line", x1=round(tick, 1), y1=1, x2=round(tick, 1), y2=17, class_="tick"),
        width=width, height=18, role="img",
    )  # fmt: skip
