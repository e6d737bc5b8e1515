"""Sections on slices: those found automatically, and those that the spec names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.evaluation.analysis.page.shown_rows import bounds, conditions, folded, percent, points
from ftcore.html.elements import Element, Node, details, element, name_of, paragraph, section, soft, table

_IN_SIGHT = 10


def slice_section(found: Mapping[str, Any], generates: bool) -> Element:
    """Found slices on errors, and on what was lost against the champion."""
    searched = ", ".join(found["columns"]) or "nothing: no column has two values with enough rows"
    note = (
        f"A tree looks for them in one half of the {found['num_rows']:,} rows and the other half confirms them, both ways round; "
        f"at least {found['min_rows']} rows, worse by more than {100 * found['min_excess']:g} points beyond chance, expected "
        f"share of false ones at most {percent(found['false_rate'], 0)}. Searched: {searched}."
    )
    loss = "loss (1 − score)" if generates else "error rate"
    return section(
        "Slices found",
        paragraph(soft(note)),
        element("h3", "Where the candidate does worse than elsewhere"),
        _slices(found["worse"], loss, found["num_rows"], against_rest=True),
        element("h3", "Where the candidate is worse than the champion") if found["lost"] is not None else None,
        _slices(found["lost"], "net loss", found["num_rows"], against_rest=False)
        if found["lost"] is not None
        else None,
        id_="slices",
    )


def _slices(slices: Sequence[Mapping[str, Any]], loss: str, num_rows: int, *, against_rest: bool) -> Element:
    if not slices:
        small = " With so few rows only large differences can be confirmed." if num_rows < 4_000 else ""
        return paragraph(f"None was confirmed.{small}")
    head = ["slice", "rows", f"{loss} there", "elsewhere", "difference (95 %)", "q"]
    rows: list[list[Node]] = [
        [
            element("span", conditions(item["name"]), *_mostly(item)),
            f"{item['n']:,}",
            percent(item["loss"]),
            percent(item["rest"]),
            element(
                "span",
                points(item["loss"] - (item["rest"] if against_rest else 0.0)),
                element("br"),
                soft(bounds(item["ci_low"], item["ci_high"])),
            ),
            f"{item['q_value']:.2g}",
        ]
        for item in slices
    ]
    return element(
        "div",
        table(head, rows, numbers=range(1, 6)),
        paragraph(soft("Figures are of the half that confirmed the slice; rows are of both.")),
        *(folded(f"Rows of {item['name']}", item["examples"]) for item in slices),
    )


def _mostly(item: Mapping[str, Any]) -> list[Node]:
    """The commonest labels of the slice."""
    parts: list[Node] = []
    for label in item["labels"]:
        parts += [
            ", " if parts else element("br"), soft(name_of(label["label"]), f" {percent(label['share'], 0)}"),
        ]  # fmt: skip
    return parts


def gate_slices(slices: Sequence[Mapping[str, Any]], limit: int = 40) -> Element | None:
    """The slices that the spec names, as the gate judged them."""
    if not slices:
        return None
    rows: list[list[Node]] = [
        [
            element("span", name_of(item["column"]), " ", element("b", name_of(item["value"]))), f"{item['n']:,}",
            percent(item["champion"]), percent(item["candidate"]), f"{100 * item['difference']:+.1f}",
            element("span", *_state(item)),
        ]
        for item in sorted(slices, key=lambda item: (not item["blocked"], item["difference"]))[:limit]
    ]  # fmt: skip
    head = ["slice", "rows", "champion", "candidate", "difference, points", "gate says"]
    shown, more = rows[:_IN_SIGHT], rows[_IN_SIGHT:]
    return section(
        "Slices of the spec",
        paragraph(soft("As the gate judged them (evaluation.slices, and every label), the largest losses first.")),
        table(head, shown, numbers=range(1, 5)),
        details(f"{len(more)} more", table(head, more, numbers=range(1, 5))) if more else None,
        id_="gate_slices",
    )


def _state(item: Mapping[str, Any]) -> list[Node]:
    if item["blocked"]:
        return [element("span", "blocks the promotion", class_="flag")]
    return [element("span", "not worse", class_="calm") if item["judged"] else soft("too few rows")]
