"""The pairs of a review as a page to read and a sheet to fill in."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from ftcore.errors import num_of
from ftcore.evaluation.review import COLUMNS, Pair
from ftcore.html.elements import Element, bullets, code, element, paragraph, quote, section, soft
from ftcore.html.page import page
from ftcore.store import write_durable

PAGE, SHEET = "pairs.html", "choices.csv"


def write_review(folder: Path, review: str, spec_name: str, pairs: Sequence[Pair]) -> None:
    """Write both files into `folder`, which is there."""
    head = section(
        None,
        element("h1", f"Which answer is better? {spec_name}"),
        paragraph(
            f"{num_of(len(pairs), 'pair')}. For each, write into ", code(SHEET), ", column ", code("choice"), ":"
        ),
        bullets([[code("A"), " or ", code("B"), " for the better answer"], [code("tie"), " if neither is"]]),
        paragraph("Leave out what you cannot judge. Which model wrote which answer changes from pair to pair."),
        soft(f"review {review}"),
        class_="head",
    )
    write_durable(
        folder / PAGE,
        page(f"Review {review}", head, *(_pair(number, pair) for number, pair in enumerate(pairs, start=1))),
    )
    text = io.StringIO()
    sheet = csv.writer(text, lineterminator="\n")
    sheet.writerow(COLUMNS)
    sheet.writerows([review, number, "", ""] for number in range(1, len(pairs) + 1))
    write_durable(folder / SHEET, text.getvalue())


def _pair(number: int, pair: Pair) -> Element:
    told = (("Asked", pair.asked), ("A", pair.first), ("B", pair.second))
    cells = [cell for name, text in told for cell in (element("dt", name), element("dd", quote(text)))]
    return section(f"Pair {number}", element("dl", *cells, class_="asked"))
