"""Rows of the holdout and figures as they appear on the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.html.elements import Element, Node, code, details, element, name_of, quote, soft

Shown = Mapping[str, Any]


def percent(share: float | None, digits: int = 1) -> str:
    return "–" if share is None else f"{100 * share:.{digits}f} %"


def points(difference: float | None) -> str:
    """A difference of shares in points."""
    return "–" if difference is None else f"{100 * difference:+.1f} points"


def bounds(low: float, high: float) -> str:
    """A 95 % interval of a difference of shares, in points."""
    return f"{100 * low:+.1f} to {100 * high:+.1f}"


def span(low: float | None, high: float | None) -> str:
    """A 95 % interval of a share."""
    return "–" if low is None or high is None else f"{100 * low:.1f} to {100 * high:.1f} %"


def rows_of(examples: Sequence[Shown], *, champion: bool = True) -> Element:
    """Rows one below the other: text, then what is right and what the models say."""
    return element("div", *(row_of(example, champion=champion) for example in examples))


def row_of(example: Shown, *, champion: bool = True) -> Element:
    """One row. Generated text, which is known by its score, stands as question, reference and answers."""
    if "candidate_score" in example:
        return _answer(example, champion)
    said: list[Node] = [name_of(example["target"]), soft(" taken for "), name_of(example["candidate"])]
    if example["target"] == example["candidate"]:
        said = [name_of(example["target"]), soft(" seen as such")]
    if "candidate_confidence" in example:
        said.append(soft(f" with confidence {example['candidate_confidence']:.2f}"))
    if champion and "champion" in example:
        was_right = example["champion"] == example["target"]
        said += [soft(" · the champion was right" if was_right else " · champion: ")]
        said += [] if was_right else [name_of(example["champion"])]
    return element(
        "div",
        quote(_or_blank(example["text"])),
        element("p", *said, *_why(example), soft(" · "), code(example["id"])),
        class_="pair",
    )


def _answer(example: Shown, champion: bool) -> Element:
    lines: list[tuple[str, str, str]] = [("asked", example["text"], ""), ("wanted", example["target"], "")]
    for role in ("candidate", "champion") if champion else ("candidate",):
        if role in example:
            lines.append((role, example[role], f" ({example.get(f'{role}_score', 0.0):.2f})"))
    parts = [
        part
        for name, text, after in lines
        for part in (element("dt", name), element("dd", quote(_or_blank(text)), soft(after) if after else None))
    ]
    return element(
        "div",
        element("dl", *parts, class_="asked"),
        element("p", code(example["id"]), *_why(example)),
        class_="pair",
    )


def _why(example: Shown) -> list[Node]:
    return [soft(f" · {example['why']}")] if example.get("why") else []


def _or_blank(text: str) -> str:
    return text if text.strip() else "(blank)"


def folded(summary: str, examples: Sequence[Shown], *, is_open: bool = False) -> Element | None:
    """Rows to unfold; None where there are none."""
    return details(summary, rows_of(examples), is_open=is_open) if examples else None


def conditions(name: str) -> Element:
    """Name of a slice, whose values come from the data."""
    return element("b", name_of(name))
