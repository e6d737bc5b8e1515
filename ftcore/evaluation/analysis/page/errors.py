"""Sections on the errors themselves: must-see rows, confusions, classes, worst answers, clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.errors import num_of
from ftcore.evaluation.analysis.page.shown_rows import folded, percent, rows_of, span
from ftcore.html.charts import Bar, bars, histogram
from ftcore.html.elements import Element, Node, details, element, name_of, paragraph, section, soft

_UNFOLDABLE = 12


def must_see_section(found: Sequence[Mapping[str, Any]], generates: bool) -> Element:
    note = (
        "The failing rows that weigh most: cost of the mistake times confidence, doubled where the champion was right; at "
        "most two of a kind. Rows whose own label is in doubt are further below."
    )
    if generates:
        note = "The rows with the worst answers, those weighing more on which the champion did better."
    return section("Rows to look at first", paragraph(soft(note)), rows_of(found), id_="must_see")


def confusion_section(found: Mapping[str, Any]) -> Element:
    """Pairs ranked by cost, then every class."""
    pairs = found["pairs"]
    if not pairs:
        return section("Confusions", paragraph("None: every row got its label."), id_="confusions")
    has_costs = found["has_costs"]
    drawn = [
        Bar(
            f"{pair['target']} → {pair['predicted']}", (pair["total_cost"],),
            f"{pair['n']} × {pair['cost']:g}" if has_costs else f"{pair['n']} of {pair['num_target']}",
        )
        for pair in pairs
    ]  # fmt: skip
    unit = (
        "costs (rows × cost of each, spec evaluation.costs)"
        if has_costs
        else "rows; evaluation.costs in the spec weighs them"
    )
    more = found["num_pairs"] - len(pairs)
    unknown = found["unknown_labels"]
    return section(
        "Confusions",
        bars("Label → what the candidate said instead", drawn, [""], fold=_UNFOLDABLE, note=f"Ranked by {unit}."),
        paragraph(soft(f"{num_of(more, 'rarer pair')} left out.")) if more > 0 else None,
        paragraph(f"evaluation.costs names labels that no row and no answer has: {', '.join(unknown)}.") if unknown else None,
        *(_pair(pair, has_costs) for pair in pairs[:_UNFOLDABLE]),
        _classes(found["classes"]),
        id_="confusions",
    )  # fmt: skip


def _pair(pair: Mapping[str, Any], has_costs: bool) -> Element:
    """One confusion with its figures, to unfold."""
    told = f": {pair['n']:,} of {num_of(pair['num_target'], 'row')} ({span(pair['ci_low'], pair['ci_high'])})"
    if has_costs:
        told += f", {percent(pair['cost_share'], 0)} of all costs"
    if pair["champion_n"] is not None:
        told += f", the champion {pair['champion_n']:,}"
    summary = element("span", name_of(pair["target"]), " → ", name_of(pair["predicted"]), soft(told))
    return details(summary, rows_of(pair["examples"]))


def _classes(classes: Sequence[Mapping[str, Any]]) -> Element:
    drawn = [
        Bar(
            item["label"],
            (item["num_wrong"] / item["n"],),
            f"{percent(item['num_wrong'] / item['n'], 0)}, {item['num_wrong']} of {item['n']}",
        )
        for item in sorted(classes, key=lambda item: (-item["num_wrong"] / item["n"], item["label"]))
        if item["num_wrong"]
    ]
    spared = sum(not item["num_wrong"] for item in classes)
    note = f"{num_of(spared, 'class', 'classes')} of {len(classes)} without an error are left out." if spared else None
    return bars("Error rate by class", drawn, [""], fold=10, note=note)


def worst_section(found: Mapping[str, Any]) -> Element:
    metric = str(found["metric"]).replace("_", " ")
    means = ", ".join(f"{role} {mean:.3f}" for role, mean in found["mean"].items())
    note = f"Means over rows: {means}. A corpus metric is no mean of rows."
    return section(
        "Worst answers",
        histogram(f"{metric} of each row on its own", found["scores"], "", note=note),
        paragraph(f"{num_of(found['num_zero'], 'answer')} of the candidate scored 0.") if found["num_zero"] else None,
        folded(f"{num_of(len(found['rows']), 'row')} with the lowest scores", found["rows"], is_open=False),
        id_="worst_answers",
    )  # fmt: skip


def cluster_section(found: Sequence[Mapping[str, Any]], generates: bool) -> Element:
    what = "The fifth of the rows with the lowest scores" if generates else "Failing rows"
    note = (
        f"{what}, put together by meaning (k-means over embeddings) and named by the words that tell them from all other rows. "
        "“Around it”: rows of the whole holdout near the middle of the cluster, and how many of them fail."
    )
    drawn = [Bar(item["name"], (float(item["n"]),), f"{item['n']} rows, {percent(item['share'], 0)}") for item in found]
    return section(
        "Failing rows in clusters",
        paragraph(soft(note)),
        bars("Clusters, with their share of these rows", drawn, [""], fold=12),
        *(_cluster(item) for item in found),
        id_="clusters",
    )


def _cluster(item: Mapping[str, Any]) -> Element:
    around = f"Around it {item['num_near_failing']} of {num_of(item['num_near'], 'row')} fail."
    mostly: list[Node] = []
    for pair in item["confusions"]:
        mostly += [
            "; " if mostly else " Commonest: ", name_of(pair["target"]), " → ", name_of(pair["predicted"]), f" ({pair['n']})",
        ]  # fmt: skip
    return element(
        "div",
        element("h3", name_of(item["name"]), soft(f" · {num_of(item['n'], 'row')}")),
        paragraph(around, *mostly),
        folded("Rows nearest to its middle", item["examples"]),
        class_="finding",
    )
