"""The drift report page: our decision first, then what it rests on. One HTML file, readable offline, every value escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftcore.monitoring.charts import effect_bar, histogram, label_chart
from ftcore.monitoring.tests import Sample
from ftcore.records import DriftReport, DriftTest

_HEADLINE = {
    "drift": "Production has changed",
    "watch": "A small change, worth watching",
    "ok": "Production looks like the reference",
    "insufficient": "Too few rows to decide",
}
_EXPLAINED = {
    "labels": ("Predicted classes", "total variation beyond chance"),
    "confidence": ("Confidence", "Kolmogorov-Smirnov distance"),
    "length": ("Message length", "Kolmogorov-Smirnov distance"),
    "embeddings": ("Embeddings (MMD)", "2·AUC − 1 of telling the windows apart"),
    "vocabulary": ("Words (MMD)", "2·AUC − 1 of telling the windows apart"),
}

_STYLE = (Path(__file__).parent / "page.css").read_text(encoding="utf-8")


def render_page(
    report: DriftReport,
    reference: Sample,
    current: Sample,
    *,
    alpha: float,
    examples: Sequence[Mapping[str, Any]] = (),
    links: Sequence[tuple[str, str]] = (),
    notes: Sequence[str] = (),
) -> str:
    """The page as one HTML document.

    Args:
        examples: Rows with `text`, `prediction`, `confidence`: current ones least like the reference.
        links: (text, address relative to the page), for example the Evidently report.
        notes: Remarks at the end, for example columns that Evidently could not take.
    """
    title = f"{report.spec}: {_HEADLINE[report.verdict]}"
    parts = [
        _header(report),
        _tests(report.tests, alpha),
        _labels(reference, current),
        _distributions(reference, current),
        _examples(examples),
        _more(links, notes),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>"
        f"<body><main>{''.join(parts)}</main></body></html>\n"
    )


def _header(report: DriftReport) -> str:
    reasons = "".join(f"<li>{html.escape(reason)}</li>" for reason in report.reasons)
    facts = [
        ("Window", f"{report.num_current:,} rows"),
        ("From", _time(report.window_start)),
        ("To", _time(report.window_end)),
        ("Reference", f"{report.num_reference:,} holdout rows"),
        ("Smallest adjusted p", "–" if report.p_value is None else f"{report.p_value:.2g}"),
        ("Champion", report.model_digest[:16] or "–"),
    ]
    shown = "".join(f"<div><dt>{name}</dt><dd>{html.escape(value)}</dd></div>" for name, value in facts)
    return (
        f'<section class="head {report.verdict}"><span class="pill {report.verdict}">{report.verdict}</span>'
        f'<span class="soft">{html.escape(report.spec)}</span><h1>{_HEADLINE[report.verdict]}</h1><ul>{reasons}</ul></section>'
        f"<section><dl>{shown}</dl></section>"
    )


def _time(stamp: str) -> str:
    return f"{stamp[:10]} {stamp[11:19]} UTC" if stamp else "–"


def _tests(tests: Sequence[DriftTest], alpha: float) -> str:
    if not tests:
        return ""
    rows = "".join(_test_row(test, alpha) for test in tests)
    return (
        "<section><h2>What was tested</h2><table><thead><tr><th>test</th><th>effect, floor</th><th></th>"
        f"<th>p</th><th>p, Holm</th><th>finding</th></tr></thead><tbody>{rows}</tbody></table>"
        f"<p><small>Drift needs both: p after Holm's correction under {alpha:g}, and an effect at or above the floor "
        "(the tick on the bar). A finding under the floor is real but small.</small></p></section>"
    )


def _test_row(test: DriftTest, alpha: float) -> str:
    name, measure = _EXPLAINED.get(test.name, (test.name, "effect"))
    significant, large = test.p_adjusted < alpha, test.effect >= test.floor
    finding = '<span class="calm">no change seen</span>'
    if significant:
        finding = '<span class="flag">drift</span>' if large else '<span class="mild">small change</span>'
    return (
        f"<tr><td><b>{html.escape(name)}</b><br><small>{html.escape(measure)}</small></td>"
        f'<td class="num">{test.effect:.3f} <small>/ {test.floor:g}</small></td>'
        f"<td>{effect_bar(test.effect, test.floor, significant and large)}</td>"
        f'<td class="num">{test.p_value:.2g}</td><td class="num">{test.p_adjusted:.2g}</td><td>{finding}</td></tr>'
    )


_KEY = '<small><span class="key before"></span>reference<span class="key now"></span>current window</small>'


def _labels(reference: Sample, current: Sample) -> str:
    if not reference.labels or not current.labels:
        return ""
    chart = label_chart(reference.labels, current.labels)
    return f"<section><h2>Predicted classes, largest changes first</h2><p>{_KEY}</p>{chart}</section>"


def _distributions(reference: Sample, current: Sample) -> str:
    charts = []
    pairs: list[tuple[str, NDArray[np.floating] | None, NDArray[np.floating] | None, str]] = [
        ("Confidence", reference.confidence, current.confidence, "probability"),
        ("Message length", reference.length, current.length, "characters"),
    ]
    for title, before, now, unit in pairs:
        if before is not None and now is not None and len(before) and len(now):
            charts.append(f"<div><h2>{title}</h2>{histogram(before, now, unit)}</div>")
    return f'<section><p>{_KEY}</p><div class="pair">{"".join(charts)}</div></section>' if charts else ""


def _examples(examples: Sequence[Mapping[str, Any]]) -> str:
    if not examples:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(_short(str(row['text'])))}</td><td><code>{html.escape(str(row['prediction']))}</code></td>"
        f'<td class="num">{float(row["confidence"]):.2f}</td></tr>'
        for row in examples
    )
    return (
        "<section><h2>Messages least like the reference</h2><table><thead><tr><th>message</th><th>predicted as</th>"
        f"<th>confidence</th></tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _short(text: str) -> str:
    return text if len(text) <= 220 else f"{text[:219]}…"


def _more(links: Sequence[tuple[str, str]], notes: Sequence[str]) -> str:
    if not links and not notes:
        return ""
    shown = " · ".join(f'<a href="{html.escape(address)}">{html.escape(text)}</a>' for text, address in links)
    remarks = "".join(f"<p><small>{html.escape(note)}</small></p>" for note in notes)
    return f"<section><h2>More</h2><p>{shown}</p>{remarks}</section>"
