"""The measures of the probes as the cells of a table: the same in verdict.md and on the report's page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

HEADS = ("probe", "what", "n", "candidate", "champion", "other", "candidate - champion", "candidate - other")
"""`other` is the reference answers (groundedness) or the base model (forgetting)."""
WHO_DECIDES = "Canaries decide, and what gate.probe_guards names; the others inform (docs/probes.md)."
_OTHERS = ("reference", "base")


def table_cells(measures: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    """One row of cells per measure, in the order of HEADS."""
    return [
        (
            f"{item['probe']} {item['name']}".replace("_", " "), item["what"], f"{item['n']:,}",
            *(_value(item, (role,)) for role in ("candidate", "champion")), _value(item, _OTHERS),
            _difference(item, ("champion",)), _difference(item, _OTHERS),
        )
        for item in measures
    ]  # fmt: skip


def _value(item: Mapping[str, Any], roles: Sequence[str]) -> str:
    for role in roles:
        if role in item["models"]:
            found = item["models"][role]
            name = f"{role} " if role in _OTHERS else ""
            high = "∞" if found["ci_high"] is None else _number(item, found["ci_high"])
            return f"{name}{_number(item, found['value'])} ({_number(item, found['ci_low'])} to {high})"
    return "–"


def _difference(item: Mapping[str, Any], roles: Sequence[str]) -> str:
    for found in item["differences"]:
        if found["minus"] in roles:
            value, low, high = (_number(item, found[key], sign=True) for key in ("difference", "ci_low", "ci_high"))
            return f"{value} ({low} to {high})"
    return "–"


def _number(item: Mapping[str, Any], value: float, *, sign: bool = False) -> str:
    """Shares in percent (differences in points), everything else as it is."""
    plus = "+" if sign else ""
    if item["kind"] == "share" or item["name"] in ("ngrams", "similarity"):
        return f"{100 * value:{plus}.1f}" + ("" if sign else " %")
    return f"{value:{plus}.3f}"
