"""Small inline SVG charts for the drift report: no script, no font, no network."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

WIDTH = 860
_ROW = 30
_LABEL_WIDTH = 210
_MAX_CLASSES = 14


def label_chart(reference: Sequence[str], current: Sequence[str]) -> str:
    """Paired bars, share of each class before and now, the largest changes first."""
    before, now = Counter(reference), Counter(current)
    shares = {name: (before[name] / max(1, len(reference)), now[name] / max(1, len(current))) for name in before | now}
    ordered = sorted(shares, key=lambda name: (-abs(shares[name][1] - shares[name][0]), name))[:_MAX_CLASSES]
    scale = (WIDTH - _LABEL_WIDTH - 90) / max(max(shares[name]) for name in ordered)
    parts = []
    for position, name in enumerate(ordered):
        old, new = shares[name]
        y = position * _ROW
        shown = html.escape(name if len(name) <= 28 else f"{name[:27]}…")
        parts.append(
            f'<text x="{_LABEL_WIDTH - 12}" y="{y + 18}" class="name" text-anchor="end">{shown}</text>'
            f'<rect x="{_LABEL_WIDTH}" y="{y + 4}" width="{max(1.0, old * scale):.1f}" height="9" rx="2" class="before"/>'
            f'<rect x="{_LABEL_WIDTH}" y="{y + 15}" width="{max(1.0, new * scale):.1f}" height="9" rx="2" class="now"/>'
            f'<text x="{_LABEL_WIDTH + max(old, new) * scale + 8:.1f}" y="{y + 18}" class="value">'
            f"{100 * (new - old):+.1f} pts</text>"
        )
    return _svg("".join(parts), _ROW * len(ordered) + 6, "Share of each predicted class, reference and current window")


def histogram(reference: NDArray[np.floating], current: NDArray[np.floating], unit: str) -> str:
    """Two distributions as shares over 24 common bins; the top percent is put into the last bin."""
    everything = np.concatenate([reference, current])
    low, high = float(everything.min()), float(np.quantile(everything, 0.99))
    high = high if high > low else low + 1.0
    edges = np.linspace(low, high, 25)
    heights = [np.histogram(np.clip(values, low, high), edges)[0] / len(values) for values in (reference, current)]
    top = float(max(h.max() for h in heights)) or 1.0
    width, height = 410, 130
    step = width / 24
    parts = [
        f'<rect x="{position * step + 1 + side * (step - 2) / 2:.1f}" y="{height - share / top * height:.1f}" '
        f'width="{(step - 2) / 2:.1f}" height="{share / top * height:.1f}" class="{name}"/>'
        for side, (name, bars) in enumerate(zip(("before", "now"), heights, strict=True))
        for position, share in enumerate(bars)
    ]
    axis = (
        f'<line x1="0" y1="{height}" x2="{width}" y2="{height}" class="axis"/>'
        f'<text x="0" y="{height + 16}" class="value">{low:.3g}</text>'
        f'<text x="{width}" y="{height + 16}" class="value" text-anchor="end">{high:.3g} {html.escape(unit)}</text>'
    )
    return _svg("".join(parts) + axis, height + 22, f"Distribution of {unit}", width)


def effect_bar(effect: float, floor: float, strong: bool) -> str:
    """The effect as a bar on 0 to 0.5, with a tick at the floor."""
    width = 150
    length, tick = min(1.0, effect / 0.5) * width, min(1.0, floor / 0.5) * width
    kind = "strong" if strong else "weak"
    body = (
        f'<rect x="0" y="5" width="{width}" height="8" rx="4" class="track"/>'
        f'<rect x="0" y="5" width="{length:.1f}" height="8" rx="4" class="{kind}"/>'
        f'<line x1="{tick:.1f}" y1="1" x2="{tick:.1f}" y2="17" class="tick"/>'
    )
    return f'<svg width="{width}" height="18" role="img" aria-label="effect {effect:.3f}, floor {floor:g}">{body}</svg>'


def _svg(body: str, height: int, title: str, width: int = WIDTH) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}">{body}</svg>'
