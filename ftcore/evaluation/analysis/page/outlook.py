"""Sections on what follows: against the champion, calibration, doubted labels, learning curve, data to add."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.errors import num_of
from ftcore.evaluation.analysis.page.shown_rows import folded, percent, span
from ftcore.html.charts import Bar, bars
from ftcore.html.elements import (
    Element,
    Node,
    bullets,
    code,
    element,
    facts,
    name_of,
    paragraph,
    quote,
    section,
    soft,
    table,
)
from ftcore.html.plots import Point
from ftcore.html.plots import points as plot


def champion_section(found: Mapping[str, Any]) -> Element:
    by = f" (score changed by more than {found['changed_by']:g})" if found["changed_by"] else ""
    drawn = [
        Bar(item["label"], (float(item["broken"]), float(item["fixed"])), f"{item['broken']} / {item['fixed']}")
        for item in found["labels"]
    ]
    return section(
        "Against the champion",
        facts(
            [
                ("Fixed", num_of(found["num_fixed"], "row")),
                ("Broken", num_of(found["num_broken"], "row")),
                ("Negative flip rate", percent(found["negative_flip_rate"], 2)),
                ("95 % interval", span(found["ci_low"], found["ci_high"])),
            ]
        ),
        paragraph(
            soft(f"Broken: the champion was right, the candidate is not{by}. Their share of all rows is the negative flip rate.")
        ),
        bars("Broken and fixed rows by label", drawn, ["broken", "fixed"], colours=("s4", "s2"), fold=10) if drawn else None,
        folded(f"Broken rows ({len(found['broken'])} shown)", found["broken"]),
        folded(f"Fixed rows ({len(found['fixed'])} shown)", found["fixed"]),
        id_="against_champion",
    )  # fmt: skip


def calibration_section(found: Mapping[str, Any]) -> Element:
    series = {
        role: [Point(item["confidence"], item["accuracy"], item["ci_low"], item["ci_high"]) for item in model["bins"]]
        for role, model in found["models"].items()
    }
    head = ["model", "mean confidence", "accuracy", "sure (from 0.9)", "wrong of these"]
    rows: list[list[Node]] = [
        [role, percent(model["mean_confidence"]), percent(model["accuracy"]), f"{model['num_sure']:,}",
         f"{model['num_sure_wrong']:,}"]
        for role, model in found["models"].items()
    ]  # fmt: skip
    note = "Rows in tenths by confidence, 95 % intervals. Below the dashed line the model is surer than it is right."
    return section(
        "Can its confidence be believed?",
        plot("Accuracy by confidence", series, "confidence", diagonal=True, note=note),
        table(head, rows, numbers=range(1, 5)),
        id_="calibration",
    )


def doubted_section(found: Mapping[str, Any]) -> Element:
    agreement = found["probe_agreement"]
    note = (
        "A probe trained on the training rows doubts these labels (cleanlab), and the candidate says the same as the probe; "
        f"neither has seen the rows. The probe agrees with {percent(agreement)} of the holdout's labels. Look at each: a wrong "
        "label here blurs every verdict; a right one is a hard row."
    )
    if not found["rows"]:
        return section(
            "Labels of the holdout in doubt", paragraph("None."), paragraph(soft(note)), id_="doubted_labels"
        )
    more = found["num_doubted"] - len(found["rows"])
    return section(
        "Labels of the holdout in doubt",
        paragraph(soft(note)),
        element("div", *(_doubted(item) for item in found["rows"])),
        paragraph(soft(f"and {more:,} more in analysis.json")) if more > 0 else None,
        id_="doubted_labels",
    )


def _doubted(item: Mapping[str, Any]) -> Element:
    told = f" · the probe believes in its label with {item['probe_score']:.3f}"
    return element(
        "div",
        quote(item["text"]),
        element(
            "p", soft("labelled "), name_of(item["target"]), soft(", both say "), name_of(item["suggested"]),
            soft(f"{told}{', also in the label audit' if item['also_in_audit'] else ''} · "), code(item["id"]),
        ),
        class_="pair",
    )  # fmt: skip


def learning_section(found: Mapping[str, Any]) -> Element:
    seen = [Point(item["num_train"], item["accuracy"], item["ci_low"], item["ci_high"]) for item in found["points"]]
    last, twice = seen[-1], found["twice"]
    ahead = [Point(last.x, last.y), Point(twice["num_train"], twice["accuracy"])]
    sampled = " It looked at a sample of the training rows." if found["was_sampled"] else ""
    low, high = found["gain_low"], found["gain_high"]
    return section(
        "Would more data help?",
        paragraph(
            f"For the probe, twice the rows would likely give {100 * found['gain']:+.1f} points; between "
            f"{100 * low:+.1f} and {100 * high:+.1f} would be no surprise."
        ),
        plot(
            "Accuracy of the probe by training rows", {"probe": seen, "expected by the power law": ahead}, "training rows",
            dashed=["expected by the power law"],
        ),
        paragraph(
            soft(
                "A probe, not the candidate: logistic regression on words, trained on growing parts of the training rows and "
                f"tested on the holdout.{sampled} A fine-tuned model starts higher and gains less; whether the curve still rises "
                "carries over, its height does not."
            )
        ),
        id_="learning_curve",
    )  # fmt: skip


def next_section(found: Sequence[Mapping[str, Any]]) -> Element:
    note = (
        "Ranked by error mass × learnability: how much of what the errors cost on this holdout twice the rows of that kind would "
        "likely remove, judged by how the probe's errors fell. A guide to where to label first, not a promise."
    )
    return section(
        "What data to add next",
        paragraph(soft(note)),
        bullets((_wanted(item) for item in found), "ol"),
        id_="next_data",
    )


def _wanted(item: Mapping[str, Any]) -> list[Node]:
    told = f": about {num_of(item['num_rows'], 'row')}, to avoid {item['avoided']:.1f} of the holdout's {item['unit']}"
    return [
        element("p", soft(f"{item['kind']} "), element("b", name_of(item["name"])), told),
        element("p", soft(item["reason"])),
    ]
