"""The drift report page: our decision first, then what it rests on. One HTML file, readable offline, every value escaped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ftcore.html.elements import (
    Element,
    Node,
    bullets,
    code,
    element,
    facts,
    link,
    paragraph,
    pill,
    quote,
    section,
    soft,
    table,
)
from ftcore.html.page import page
from ftcore.monitoring.charts import SIDES, effect_bar, histogram, label_chart
from ftcore.monitoring.tests import Sample, repeated_share
from ftcore.records import DriftReport, DriftTest
from ftcore.serving.log import is_reply

_HEADLINE = {
    "drift": "Production has changed",
    "watch": "A small change, worth watching",
    "ok": "Production looks like the reference",
    "insufficient": "Too few rows to decide",
}
_TONE = {"drift": "bad", "watch": "mild", "ok": "good", "insufficient": "plain"}
_EXPLAINED = {
    "labels": ("Predicted classes", "total variation beyond chance"),
    "confidence": ("Confidence", "Kolmogorov-Smirnov distance"),
    "length": ("Message length", "Kolmogorov-Smirnov distance"),
    "embeddings": ("Embeddings (MMD)", "2·AUC − 1 of telling the windows apart"),
    "reply_length": ("Reply length", "Kolmogorov-Smirnov distance"),
    "ended": ("Replies ended by the model", "change of their share beyond chance"),
    "repeats": ("Replies repeated word by word", "change of their share beyond chance"),
    "vocabulary": ("Words (MMD)", "2·AUC − 1 of telling the windows apart"),
}


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
    return page(
        f"{report.spec}: {_HEADLINE[report.verdict]}",
        _header(report),
        _facts(report),
        _tests(report.tests, alpha),
        _labels(reference, current),
        _replies(reference, current),
        _distributions(reference, current),
        _examples(examples),
        _more(links, notes),
    )


def _header(report: DriftReport) -> Element:
    tone = _TONE[report.verdict]
    return section(
        None,
        pill(report.verdict, tone),
        element("span", report.spec, class_="soft"),
        element("h1", _HEADLINE[report.verdict]),
        bullets(report.reasons),
        class_=f"head {tone}",
    )


def _facts(report: DriftReport) -> Element:
    return section(
        None,
        facts(
            [
                ("Window", f"{report.num_current:,} rows"),
                ("From", _time(report.window_start)),
                ("To", _time(report.window_end)),
                ("Reference", f"{report.num_reference:,} holdout rows"),
                ("Smallest adjusted p", "–" if report.p_value is None else f"{report.p_value:.2g}"),
                ("Champion", code(report.model_digest[:16] or "–")),
            ]
        ),
    )


def _time(stamp: str) -> str:
    return f"{stamp[:10]} {stamp[11:19]} UTC" if stamp else "–"


def _tests(tests: Sequence[DriftTest], alpha: float) -> Element | None:
    if not tests:
        return None
    note = (
        f"Drift needs both: p after Holm's correction under {alpha:g}, and an effect at or above the floor "
        "(the tick on the bar). A finding under the floor is real but small."
    )
    head = ["test", "effect, floor", "", "p", "p, Holm", "finding"]
    return section(
        "What was tested",
        table(head, [_test_row(test, alpha) for test in tests], numbers=[1, 3, 4]),
        paragraph(soft(note)),
    )


def _test_row(test: DriftTest, alpha: float) -> list[Node]:
    name, measure = _EXPLAINED.get(test.name, (test.name, "effect"))
    significant, large = test.p_adjusted < alpha, test.effect >= test.floor
    finding = element("span", "no change seen", class_="calm")
    if significant:
        words, tone = ("drift", "flag") if large else ("small change", "caution")
        finding = element("span", words, class_=tone)
    return [
        element("span", element("b", name), element("br"), soft(measure)),
        element("span", f"{test.effect:.3f} ", soft(f"/ {test.floor:g}")),
        effect_bar(test.effect, test.floor, significant and large),
        f"{test.p_value:.2g}",
        f"{test.p_adjusted:.2g}",
        finding,
    ]


def _labels(reference: Sample, current: Sample) -> Element | None:
    if not reference.labels or not current.labels:
        return None
    title = "Predicted classes, largest changes first"
    return section(None, label_chart(title, reference.labels, current.labels))


def _replies(reference: Sample, current: Sample) -> Element | None:
    """Shares of the replies that the model ended itself, and of those that come more than once."""
    rows: list[list[Node]] = []
    if reference.ended and current.ended:
        shares = [sum(side) / len(side) for side in (reference.ended, current.ended)]
        rows.append(["ended by the model", *(f"{share:.1%}" for share in shares)])
    if reference.replies and current.replies:
        shares = [repeated_share(side) for side in (reference.replies, current.replies)]
        rows.append(["repeated word by word", *(f"{share:.1%}" for share in shares)])
    return section("Replies", table(["share", *SIDES], rows, numbers=[1, 2])) if rows else None


def _distributions(reference: Sample, current: Sample) -> Element | None:
    pairs: list[tuple[str, NDArray[np.floating] | None, NDArray[np.floating] | None, str]] = [
        ("Confidence", reference.confidence, current.confidence, "probability"),
        ("Message length", reference.length, current.length, "characters"),
        ("Reply length", reference.reply_length, current.reply_length, "characters"),
    ]
    charts = [
        histogram(title, before, now, unit)
        for title, before, now, unit in pairs
        if before is not None and now is not None and len(before) and len(now)
    ]
    return section(None, element("div", *charts, class_="two")) if charts else None


def _examples(examples: Sequence[Mapping[str, Any]]) -> Element | None:
    if not examples:
        return None
    replies = is_reply(examples[0])
    rows: list[list[Node]] = []
    for row in examples:
        answer = quote(_short(str(row["prediction"]))) if replies else code(str(row["prediction"]))
        rows.append([quote(_short(str(row["text"]))), answer, f"{float(row['confidence']):.2f}"])
    head = ["message", "reply" if replies else "predicted as", "confidence"]
    return section("Messages least like the reference", table(head, rows, numbers=[2]))


def _short(text: str) -> str:
    return text if len(text) <= 220 else f"{text[:219]}…"


def _more(links: Sequence[tuple[str, str]], notes: Sequence[str]) -> Element | None:
    if not links and not notes:
        return None
    shown = [node for text, address in links for node in (" · ", link(text, address))][1:]
    return section("More", paragraph(*shown) if shown else None, *(paragraph(soft(note)) for note in notes))
