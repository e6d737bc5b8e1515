"""Charts as inline SVG. Words stay outside the drawing, so that they keep their size on a phone; shapes stretch.

Colours follow the order of the series; what a chart shows is also said in its description, for readers who cannot see it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ftcore.html.elements import Element, details, element, figure, name_of

OTHERS = "(others)"
COLOURS = tuple(f"s{number}" for number in range(8))
_BINS = 24
_BAR = 9  # pixels


@dataclass(frozen=True)
class Bar:
    """A row of a bar chart: one bar per series, and what is written behind them."""

    name: str
    values: tuple[float, ...]
    shown: str


def top(counts: Mapping[str, float], limit: int = 40) -> dict[str, float]:
    """The largest `limit` entries, largest first, the rest added up under OTHERS."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    kept = dict(ordered[:limit])
    if len(ordered) > limit:
        kept[OTHERS] = kept.get(OTHERS, 0) + sum(count for _, count in ordered[limit:])
    return kept


def bars(
    title: str, rows: Sequence[Bar], series: Sequence[str], *, colours: Sequence[str] = COLOURS, fold: int = 15,
    note: str | None = None,
) -> Element:  # fmt: skip
    """Horizontal bars, one group per row, all to one scale.

    Args:
        series: Names of the bars of a group, for the key; left out where there is one.
        fold: Rows in sight; the others have to be unfolded.
    """
    scale = max((value for row in rows for value in row.values if row.name != OTHERS), default=0.0) or 1.0
    drawn = [_bar_cells(row, series, scale, colours) for row in rows]
    shown, more = drawn[:fold], drawn[fold:]
    return figure(
        title,
        key(series, colours) if len(series) > 1 else None,
        element("div", *(cell for cells in shown for cell in cells), class_="bars"),
        details(
            f"{len(more)} more", element("div", *(cell for cells in more for cell in cells), class_="bars")
        ) if more else None,
        note=note,
    )  # fmt: skip


def _bar_cells(row: Bar, series: Sequence[str], scale: float, colours: Sequence[str]) -> list[Element]:
    height = (_BAR + 2) * len(row.values)
    shapes = [
        element(
            "rect", x=0, y=number * (_BAR + 2) + 1, width=percent(value / scale), height=_BAR, rx=2, class_=colours[number]
        )
        for number, value in enumerate(row.values)
        if row.name != OTHERS  # many rows together, which would dwarf each one
    ]  # fmt: skip
    described = f"{row.name}: {row.shown}" + (f" ({', '.join(series)})" if len(series) > 1 else "")
    return [
        name_of(row.name),
        drawing(described, "", height, *shapes),
        element("span", row.shown, class_="value"),
    ]


def histogram(
    title: str, series: Mapping[str, Sequence[float]], unit: str, *, colours: Sequence[str] = COLOURS,
    mark: tuple[float, str] | None = None, note: str | None = None,
) -> Element:  # fmt: skip
    """Shares over common bins, side by side per bin; the top percent is put into the last bin.

    Args:
        series: Name -> values; empty ones are left out.
        mark: A value with its name, drawn as a line if it lies in sight.
    """
    kept = {name: sorted(values) for name, values in series.items() if len(values)}
    everything = sorted(value for values in kept.values() for value in values) or [0.0]
    low, high = float(everything[0]), float(_quantile(everything, 0.99))
    if all(isinstance(value, int) for value in everything):  # whole numbers: bins of equal many of them
        step = max(1.0, math.ceil((high - low + 1) / _BINS))
        num_bins = max(1, math.ceil((high - low + 1) / step))
    else:
        num_bins, step = _BINS, ((high - low) or 1.0) / _BINS
    end = low + num_bins * step
    shares = {name: _shares(values, low, step, num_bins) for name, values in kept.items()}
    tallest = max((max(heights) for heights in shares.values()), default=0.0) or 1.0
    order = list(series)
    width, height = 1 / num_bins, 140
    each = width * 0.86 / max(1, len(shares))
    shapes = [
        element(
            "rect", x=percent(at * width + number * each + 0.07 * width), width=percent(each),
            y=round(height - share / tallest * height, 1), height=round(share / tallest * height, 1),
            class_=colours[order.index(name)],
        )
        for number, (name, heights) in enumerate(shares.items()) for at, share in enumerate(heights) if share
    ]  # fmt: skip
    shapes.append(element("line", x1=0, x2="100%", y1=height, y2=height, class_="rule"))
    if mark is not None and low <= mark[0] <= end:
        shapes += _mark((mark[0] - low) / (end - low), mark[1], height)
    described = "; ".join(
        f"{name}: median {_quantile(values, 0.5):.3g}, 95 % up to {_quantile(values, 0.95):.3g}"
        for name, values in kept.items()
    )
    return figure(
        title,
        key(list(kept), [colours[order.index(name)] for name in kept]) if len(series) > 1 else None,
        drawing(title, described, height, *shapes),
        _axis(f"{low:.3g}", f"{high:.3g} {unit}" + (" and more" if everything[-1] > high else "")),
        note=note or (described.replace("; ", " · ") or None),
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Nearest rank: a value that occurs."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _shares(values: Sequence[float], low: float, step: float, num_bins: int) -> list[float]:
    counts = [0] * num_bins
    for value in values:
        counts[min(num_bins - 1, int((value - low) / step))] += 1
    return [count / len(values) for count in counts]


def stacked(title: str, rows: Mapping[str, Mapping[str, float]], *, limit: int = 8, note: str | None = None) -> Element:
    """One bar per row, cut into the shares of its parts; parts beyond `limit` are added up."""
    totals: dict[str, float] = {}
    for parts in rows.values():
        for name, count in parts.items():
            totals[name] = totals.get(name, 0) + count
    names = list(top(totals, limit - 1 if len(totals) > limit else limit))
    bodies = []
    for row, parts in rows.items():
        whole = sum(parts.values())
        counts = {name: parts.get(name, 0) for name in names if name != OTHERS or name in parts}
        if len(totals) > limit:
            counts[OTHERS] = whole - sum(counts.get(name, 0) for name in names if name != OTHERS)
        bodies += _stack_cells(row, counts, whole, names)
    return figure(title, key(names), element("div", *bodies, class_="bars"), note=note)


def _stack_cells(row: str, counts: Mapping[str, float], whole: float, names: Sequence[str]) -> list[Element]:
    shapes, start = [], 0.0
    for name, count in counts.items():
        share = count / whole if whole else 0.0
        if share:
            shapes.append(
                element(
                    "rect", element("title", f"{name}: {count:,.0f} ({share:.1%})"), x=percent(start), y=1,
                    width=percent(share), height=16, class_=COLOURS[names.index(name)],
                )
            )  # fmt: skip
        start += share
    described = ", ".join(f"{name} {count / (whole or 1):.1%}" for name, count in counts.items() if count)
    return [
        name_of(row),
        drawing(f"{row}: {described}", "", 18, *shapes),
        element("span", f"{whole:,.0f}", class_="value"),
    ]


def curve(
    title: str, series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, *,
    mark: tuple[float, str] | None = None, note: str | None = None,
) -> Element:  # fmt: skip
    """Lines of shares (0 to 1, drawn as percent) over a common x.

    Args:
        series: Name -> points (x, share), x ascending.
        mark: An x with its name, drawn as a line.
    """
    points = [point for line in series.values() for point in line] or [(0.0, 0.0), (1.0, 0.0)]
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    most = max(y for _, y in points)
    ceiling = next(step for step in (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0) if most <= step or step == 1.0)
    height, span = 170, (high - low) or 1.0
    shapes: list[Element] = []
    for part in (0.0, 0.5, 1.0):
        y = round(height * (1 - part), 1)
        shapes.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="rule"))
        if part:
            shapes.append(element("text", _as_percent(ceiling * part), x="100%", y=y - 4, text_anchor="end"))
    for number, line in enumerate(series.values()):
        for (x1, y1), (x2, y2) in zip(line, line[1:], strict=False):
            shapes.append(
                element(
                    "line", x1=percent((x1 - low) / span), x2=percent((x2 - low) / span),
                    y1=round(height * (1 - y1 / ceiling), 1), y2=round(height * (1 - y2 / ceiling), 1),
                    class_=f"line {COLOURS[number]}",
                )
            )  # fmt: skip
    if mark is not None and low <= mark[0] <= high:
        shapes += _mark((mark[0] - low) / span, mark[1], height)
    described = "; ".join(
        f"{name}: " + ", ".join(f"{_as_percent(y)} at {x:g}" for x, y in line) for name, line in series.items()
    )
    return figure(
        title,
        key(list(series)),
        element("div", drawing(title, described, height, *shapes), class_="plot"),
        _axis(f"{low:g}", x_name, f"{high:g}"),
        note=note,
    )


def key(names: Sequence[str], colours: Sequence[str] = COLOURS) -> Element:
    """What each colour stands for."""
    entries = [
        element("span", element("svg", element("rect", width=11, height=11, rx=3, class_=colour), aria_hidden="true"), name)
        for name, colour in zip(names, colours, strict=False)
    ]  # fmt: skip
    return element("div", *entries, class_="key")


def _mark(position: float, name: str, height: float) -> list[Element]:
    """A vertical line with its name, which stands on the side with more room."""
    left = position > 0.6
    return [
        element("line", x1=percent(position), x2=percent(position), y1=0, y2=height, class_="mark"),
        element(
            "text", name, x=percent(position), y=11, dx=-6 if left else 6, text_anchor="end" if left else "start"
        ),
    ]  # fmt: skip


def drawing(title: str, description: str, height: float, *shapes: Element) -> Element:
    """An SVG as wide as its place, with a name and a description for readers who cannot see it."""
    described = element("desc", description) if description else None
    return element("svg", element("title", title), described, *shapes, width="100%", height=height, role="img")


def _axis(*labels: str) -> Element:
    return element("div", *(element("span", label) for label in labels), class_="axis", aria_hidden="true")


def percent(share: float) -> str:
    """A length within the drawing, kept inside it."""
    return f"{100 * min(1.0, max(0.0, share)):.2f}%"


def _as_percent(share: float) -> str:
    return f"{100 * share:.3g} %"
