"""The only module that knows Evidently: its drift report as HTML and JSON, column by column.

Evidently renders; it does not decide. Its default switches from p-values to fixed thresholds at 1,000 reference rows and does
not correct for several columns, so its verdict depends on the size of the data. And one column that it cannot digest (all
NaN, for example) takes down the whole report; here the columns are then tried one by one, and one that fails is noted and
left out.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftcore.store import write_durable

HTML = "evidently.html"
JSON = "evidently.json"


@dataclass(frozen=True)
class EvidentlyResult:
    """What was written."""

    columns: tuple[str, ...]
    """Columns in the report; empty: no report was written."""
    left_out: Mapping[str, str]
    """Column -> why Evidently could not take it."""


def write_evidently(reference: pd.DataFrame, current: pd.DataFrame, folder: Path) -> EvidentlyResult:
    """Write `evidently.html` and `evidently.json` over the columns that both frames have.

    Text columns should stay out: Evidently fits a classifier per text column, and rows would end up in the page.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    columns = [name for name in reference.columns if name in current.columns]
    left_out: dict[str, str] = {}
    snapshot, fault = _try(reference, current, columns)
    if fault:
        faults = {column: _try(reference, current, [column])[1] for column in columns}
        left_out = {column: why for column, why in faults.items() if why}
        columns = [column for column in columns if column not in left_out]
        snapshot, fault = _try(reference, current, columns)
    if fault:  # every column works alone, but not all together
        left_out, columns = dict.fromkeys(columns, fault), []
    if columns:
        write_durable(folder / HTML, snapshot.get_html_str(as_iframe=False))
        write_durable(folder / JSON, json.dumps({"left_out": left_out, **json.loads(snapshot.json())}))
    return EvidentlyResult(tuple(columns), left_out)


def _try(reference: pd.DataFrame, current: pd.DataFrame, columns: list[str]) -> tuple[Any, str]:
    """Evidently's snapshot (None without columns), and why there is none, in one line."""
    if not columns:
        return None, ""
    try:
        return _run(reference[columns], current[columns]), ""
    except Exception as error:  # noqa: BLE001 (Evidently raises anything; the other columns must still be shown)
        return None, (str(error).strip().splitlines() or [type(error).__name__])[0][:200]


def _run(reference: pd.DataFrame, current: pd.DataFrame):  # type: ignore[no-untyped-def]  # Evidently's types are skipped
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    numbers = [name for name in reference.columns if pd.api.types.is_numeric_dtype(reference[name])]
    for name in numbers:
        for side, frame in (("reference", reference), ("current", current)):
            if not frame[name].notna().any():
                raise ValueError(f"the {side} column holds no value")
    classes = [name for name in reference.columns if name not in numbers]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=classes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # divisions inside Evidently, of no use to a reader
        return Report([DataDriftPreset()]).run(
            Dataset.from_pandas(current, definition), Dataset.from_pandas(reference, definition)
        )
