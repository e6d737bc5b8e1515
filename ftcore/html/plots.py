"""Points with intervals over two axes, as inline SVG; beside `charts`, with the same rules: words in HTML, shapes stretch."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ftcore.html.charts import COLOURS, drawing, key, percent
from ftcore.html.elements import Element, element, figure

_HEIGHT = 210
_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Point:
    """A share (0 to 1) at x, with its interval."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


def points(
    title: str, series: Mapping[str, Sequence[Point]], x_name: str, *, diagonal: bool = False,
    dashed: Collection[str] = (), note: str | None = None,
) -> Element:  # fmt: skip
    """Shares over x, drawn as percent: dots with their intervals, joined by lines.

    Args:
        series: Name -> points, x ascending.
        diagonal: Draw the line on which x and y are the same.
        dashed: Series that are expected, not seen.
    """
    every = [point for line in series.values() for point in line] or [Point(0.0, 0.0), Point(1.0, 1.0)]
    bottom, top, step = _span([value for point in every for value in (point.y, point.low, point.high)])
    left, right = min(point.x for point in every), max(point.x for point in every)
    if diagonal:
        bottom, top, step = _span([bottom, top, left, right])

    def x_of(x: float) -> float:
        return (x - left) / ((right - left) or 1.0)

    def y_of(y: float) -> float:
        return round(_HEIGHT * (1 - (min(top, max(bottom, y)) - bottom) / (top - bottom)), 1)

    shapes = _grid(bottom, top, step)
    if diagonal:
        shapes.append(element("line", x1="0%", x2="100%", y1=y_of(left), y2=y_of(right), class_="mark"))
    for colour, (name, line) in zip(COLOURS, series.items(), strict=False):
        shapes += _line([(x_of(point.x), y_of(point.y)) for point in line], colour, name in dashed)
        for point in line:
            at = percent(x_of(point.x))
            if point.low is not None and point.high is not None:
                shapes.append(
                    element("line", x1=at, x2=at, y1=y_of(point.low), y2=y_of(point.high), class_=f"whisker {colour}")
                )
            shapes.append(element("circle", cx=at, cy=y_of(point.y), r=4, class_=colour))
    return figure(
        title,
        key(list(series)) if len(series) > 1 else None,
        element("div", drawing(title, _described(series), _HEIGHT, *shapes), class_="plot points"),
        element(
            "div", *(element("span", text) for text in (_short(left), x_name, _short(right))), class_="axis inner",
            aria_hidden="true",
        ),
        note=note,
    )  # fmt: skip


def _span(values: Sequence[float | None]) -> tuple[float, float, float]:
    """Bottom, top and step of the grid around the values: at most about six lines."""
    known = [min(1.0, max(0.0, value)) for value in values if value is not None and math.isfinite(value)] or [0.0, 1.0]
    low, high = min(known), max(known)
    step = next((step for step in _STEPS if (high - low) / step <= 5), _STEPS[-1])
    bottom, top = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return bottom, top if top > bottom else bottom + step, step


def _grid(bottom: float, top: float, step: float) -> list[Element]:
    shapes = []
    for number in range(round((top - bottom) / step) + 1):
        value = bottom + number * step
        y = round(_HEIGHT * (1 - (value - bottom) / (top - bottom)), 1)
        shapes.append(element("line", x1="0%", x2="100%", y1=y, y2=y, class_="rule"))
        shapes.append(element("text", f"{100 * value:.0f} %", x="0%", y=y, dx=-8, dy=4, text_anchor="end"))
    return shapes


def _line(places: Sequence[tuple[float, float]], colour: str, is_dashed: bool) -> list[Element]:
    style = f"line {colour} dashed" if is_dashed else f"line {colour}"
    return [
        element("line", x1=percent(x1), x2=percent(x2), y1=y1, y2=y2, class_=style)
        for (x1, y1), (x2, y2) in zip(places, places[1:], strict=False)
    ]


def _described(series: Mapping[str, Sequence[Point]]) -> str:
    return "; ".join(
        f"{name}: " + ", ".join(f"{100 * point.y:.3g} % at {_short(point.x)}" for point in line)
        for name, line in series.items()
    )


def _short(x: float) -> str:
    return f"{x:,.0f}" if abs(x) >= 10 else f"{x:.3g}"
