"""The page: verdict, what to do, then what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ftcore.errors import num_of
from ftcore.evaluation.analysis.page.errors import (
    cluster_section,
    confusion_section,
    must_see_section,
    worst_section,
)
from ftcore.evaluation.analysis.page.outlook import (
    calibration_section,
    champion_section,
    doubted_section,
    learning_section,
    next_section,
)
from ftcore.evaluation.analysis.page.probes import probe_section
from ftcore.evaluation.analysis.page.scores import score_section
from ftcore.evaluation.analysis.page.shown_rows import bounds, percent, points
from ftcore.evaluation.analysis.page.slices import gate_slices, slice_section
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
    section,
    soft,
)
from ftcore.html.page import page

_TONE = {"PASS": "good", "FAIL": "bad", "NOT ENOUGH EVIDENCE": "mild", "HOLD": "mild"}
_MAX_REASONS = 20

_Drawer = tuple[str, str, Callable[[], Element | None]]


def render(report: Mapping[str, Any], *, strict: bool = False) -> str:
    """The page as one HTML document.

    Args:
        report: An analysis with `spec`, `verdict` (as in verdict.json), and nothing but plain data.
        strict: Raise where a section cannot be drawn instead of saying so (for tests).
    """
    drawn: list[tuple[str, str, Element]] = []
    faults = list(report["faults"])
    for name, title, draw in _drawers(report):
        try:
            made = draw()
        except Exception as error:  # whatever it is: the other sections must still be shown
            if strict:
                raise
            faults.append({"section": name, "fault": f"cannot be drawn: {type(error).__name__}"})
            continue
        if made is not None:
            drawn.append((name, title, made))
    return page(
        f"{report['spec']}: error report",
        _head(report, [(name, title) for name, title, _ in drawn]),
        _faults(faults),
        *(made for *_, made in drawn),
        _files(),
    )


def _drawers(report: Mapping[str, Any]) -> list[_Drawer]:
    """Name, title and maker of each section that the analysis has."""
    found, generates = report["sections"], report["task"] != "classification"
    have: list[tuple[str, str, bool, Callable[[], Element | None]]] = [
        ("scores", "Scores", True, lambda: score_section(report["verdict"])),
        ("must_see", "First rows", bool(found.get("must_see")), lambda: must_see_section(found["must_see"], generates)),
        ("confusions", "Confusions", bool(found.get("confusions")), lambda: confusion_section(found["confusions"])),
        ("worst_answers", "Worst answers", bool(found.get("worst_answers")), lambda: worst_section(found["worst_answers"])),
        ("clusters", "Clusters", bool(found.get("clusters")), lambda: cluster_section(found["clusters"], generates)),
        ("slices", "Slices found", bool(found.get("slices")), lambda: slice_section(found["slices"], generates)),
        ("gate_slices", "Slices of the spec", True, lambda: gate_slices(report["verdict"].get("slices", ()))),
        ("probes", "Probes", True, lambda: probe_section(report["verdict"].get("probes", ()))),
        ("against_champion", "Against the champion", bool(found.get("against_champion")),
         lambda: champion_section(found["against_champion"])),
        ("calibration", "Calibration", bool(found.get("calibration")), lambda: calibration_section(found["calibration"])),
        ("doubted_labels", "Doubted labels", bool(found.get("doubted_labels")), lambda: doubted_section(found["doubted_labels"])),
        ("learning_curve", "More data?", bool(found.get("learning_curve")), lambda: learning_section(found["learning_curve"])),
        ("llm_judge", "A language model's opinion", bool(report.get("llm_judge")), lambda: _opinion(report["llm_judge"])),
        ("next_data", "Data to add", bool(found.get("next_data")), lambda: next_section(found["next_data"])),
    ]  # fmt: skip
    return [(name, title, draw) for name, title, there, draw in have if there]


def _head(report: Mapping[str, Any], contents: list[tuple[str, str]]) -> Element:
    verdict = report["verdict"]
    outcome, reasons = str(verdict["verdict"]), list(verdict["reasons"])
    tone = _TONE.get(outcome, "plain")
    more = len(reasons) - _MAX_REASONS
    steps = next_steps(report)
    return section(
        None,
        pill(outcome, tone),
        element("span", report["spec"], class_="soft"),
        element("h1", _headline(report)),
        bullets([*reasons[:_MAX_REASONS], *([f"and {more} more in verdict.md"] if more > 0 else [])]),
        element("h3", "What to do with it") if steps else None,
        bullets(steps, "ol") if steps else None,
        facts(_facts(report)),
        element("nav", bullets([link(title, f"#{name}") for name, title in contents]), aria_label="Contents")
        if contents
        else None,
        class_=f"head {tone}",
    )


def _headline(report: Mapping[str, Any]) -> str:
    summary = report["sections"].get("summary")
    if not summary:
        return "The errors could not be analysed"
    champion = summary["mean_score"].get("champion")
    if report["task"] != "classification":
        metric = str(report["metric"]).replace("_", " ")
        beside = "" if champion is None else f", the champion {champion:.3f}"
        mean = summary["mean_score"]["candidate"]
        return f"{metric} {mean:.3f} per row{beside}, on {num_of(report['num_rows'], 'row')}"
    told = f"{summary['num_failing']:,} of {num_of(report['num_rows'], 'row')} wrong"
    return told if champion is None else f"{told}, the champion {round((1 - champion) * report['num_rows']):,}"


def _facts(report: Mapping[str, Any]) -> list[tuple[str, Node]]:
    summary = report["sections"].get("summary") or {}
    sampled = report["num_all_rows"] > report["num_rows"]
    rows = f"{report['num_rows']:,} drawn of {report['num_all_rows']:,}" if sampled else f"{report['num_rows']:,}"
    told: list[tuple[str, Node]] = [
        ("Rows", f"{rows} in {num_of(summary['num_groups'], 'group')}" if summary.get("num_groups") else rows),
        ("Candidate", _model(report, "candidate")),
        ("Champion", _model(report, "champion")),
    ]
    for metric in report["verdict"].get("metrics", ())[:1]:  # the gate's comes first
        name = str(metric["name"]).replace("_", " ")
        told.append(
            (f"Difference in {name}", f"{points(metric['difference'])} ({bounds(metric['ci_low'], metric['ci_high'])})")
        )
    if few_shot := report["verdict"].get("few_shot"):
        orders = ", ".join(percent(value) for value in few_shot["accuracy"])
        told.append(
            ("Few shot right, by order of the examples", f"{orders} ({100 * few_shot['spread']:.1f} points apart)")
        )
    if summary and not summary["has_embeddings"]:
        told.append(("Embeddings", "none: likeness is that of words"))
    return told


def _model(report: Mapping[str, Any], role: str) -> Element:
    """A model's digest, and its share of right rows or its mean score."""
    digest = str(report["verdict"][f"{role}_digest"] or "none")[:12]
    score = (report["sections"].get("summary") or {}).get("mean_score", {}).get(role)
    if score is None:
        return code(digest)
    what = "right" if report["task"] == "classification" else "per row"
    return element("span", code(digest), soft(f" {percent(score)} {what}"))


def next_steps(report: Mapping[str, Any]) -> list[Node]:
    """The few things that the analysis asks of a person, each with its section."""
    found = report["sections"]
    steps: list[Node] = []
    worse = (found.get("slices") or {}).get("worse") or []
    if worse:
        first = worse[0]
        excess = 100 * (first["loss"] - first["rest"])
        what = "errors" if report["task"] == "classification" else "loss"
        steps.append(
            _step(f"Look at the slice {first['name']}: {excess:.1f} points more {what} than elsewhere", "slices")
        )
    lost = (found.get("slices") or {}).get("lost") or []
    if lost:
        steps.append(_step(f"See what was lost against the champion on {lost[0]['name']}", "slices"))
    broken = (found.get("against_champion") or {}).get("num_broken", 0)
    if broken:
        which = (
            "that only the champion got right"
            if report["task"] == "classification"
            else "that the champion answered better"
        )
        steps.append(_step(f"Look through the {num_of(broken, 'row')} {which}", "against_champion"))
    doubted = (found.get("doubted_labels") or {}).get("num_doubted", 0)
    if doubted:
        steps.append(_step(f"Review the labels of {num_of(doubted, 'holdout row')}", "doubted_labels"))
    if found.get("next_data"):
        item = found["next_data"][0]
        steps.append(
            _step(f"Collect about {item['num_rows']:,} more rows of the {item['kind']} {item['name']}", "next_data")
        )
    return steps


def _step(text: str, name: str) -> Element:
    return link(text, f"#{name}")


def _opinion(told: str) -> Element:
    return section(
        "A language model's opinion", paragraph(told), paragraph(soft("It decides nothing.")), id_="llm_judge"
    )


def _faults(faults: list[Mapping[str, str]]) -> Element | None:
    if not faults:
        return None
    return section(
        "What could not be analysed",
        paragraph("The verdict does not rest on this analysis and stands as it is."),
        bullets([f"{item['section']}: {item['fault']}" for item in faults]),
        id_="faults",
    )


def _files() -> Element:
    files = [
        ("verdict.md", "the verdict with all scores and thresholds"),
        ("analysis.json", "everything on this page as data"),
    ]
    return section(
        "Files beside this page in the store",
        bullets([[code(name), f": {what}"] for name, what in files]),
        paragraph(
            soft("Texts are cut at 200 characters, personal data are blotted out, invisible characters are escapes.")
        ),
    )
