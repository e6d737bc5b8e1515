"""What the probes found, beside the verdict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ftcore.evaluation.probes.showing import HEADS, WHO_DECIDES, table_cells
from ftcore.html.elements import Element, Node, paragraph, section, soft, table


def probe_section(measures: Sequence[Mapping[str, Any]]) -> Element | None:
    """A table of all measures; None where there are no probes."""
    if not measures:
        return None
    rows: list[list[Node]] = [list(cells) for cells in table_cells(measures)]
    return section(
        "Probes",
        paragraph(soft(f"95 % intervals; differences are paired. {WHO_DECIDES}")),
        table(list(HEADS), rows, numbers=range(2, len(HEADS))),
        id_="probes",
    )
