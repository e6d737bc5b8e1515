"""Runs a suite with Great Expectations on every split and builds Data Docs.

GX is asked, not trusted: an expectation counts as met only if it says success, raised nothing, and looked at rows. What GX
leaves out of its answer is a failure.
"""

from __future__ import annotations

import html
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")  # read when GX is imported

import great_expectations as gx
import pandas as pd
from great_expectations.data_context.types.base import ProgressBarsConfig
from great_expectations.expectations.registry import get_expectation_impl

from ftcore.errors import UsageError
from ftcore.records import SplitReport
from ftcore.spec import Split
from ftcore.store import storage_errors
from ftcore.validation.suites import Entry, Suite

_COLUMNS = ("id", "text", "label", "completion", "group", "timestamp", "source")
_SITE = "docs"
# Values of these columns may be named in a message; text and ids of people may not.
_SHOWN = ("label", "source")
Row = Mapping[str, Any]


@dataclass(frozen=True)
class SuiteResult:
    """What a suite says of a data set."""

    reports: tuple[SplitReport, ...]
    """One per split, in the order given. `failed` is empty only if every expectation was met."""
    unfit: frozenset[str]
    """Ids of the rows that break an expectation that was not met; none for expectations about a column as a whole."""


def run_suite(suite: Suite, splits: Mapping[Split, Sequence[Row]], docs: Path) -> SuiteResult:
    """Judge every split and build Data Docs (`docs`/index.html).

    Args:
        suite: What is expected.
        splits: Rows in canonical columns per split.
        docs: Folder to build; absolute or relative, made here.

    Raises:
        UsageError: The suite names an unknown expectation or gives one wrong arguments; every fault is listed.
    """
    frames = {split: to_frame(rows) for split, rows in splits.items()}
    asked = {split: suite.for_split(split, frame.columns) for split, frame in frames.items()}
    built = _build(asked)
    context = _context(docs.absolute())
    source = context.data_sources.add_pandas("splits")
    reports: list[SplitReport] = []
    unfit: set[str] = set()
    for split, frame in frames.items():
        results = _run_split(context, source, f"{suite.name}_{split}", split, built[split], frame)
        failed: list[str] = []
        for entry, result in zip(asked[split], results, strict=True):
            if line := judge(entry, result, frame):
                failed.append(line)
                unfit.update(_unexpected_ids(result, frame))
        if frame.empty:  # whatever GX answered, and one line says it all
            failed = [f"saw 0 rows, wanted at least 1; none of {len(asked[split])} expectations can be judged"]
        reports.append(
            SplitReport(split=split, num_rows=len(frame), num_expectations=len(asked[split]), failed=tuple(failed))
        )
    _escape_results(context)
    with storage_errors(docs):
        context.build_data_docs(site_names=[_SITE])
    return SuiteResult(tuple(reports), frozenset(unfit))


def to_frame(rows: Sequence[Row]) -> pd.DataFrame:
    """Canonical columns as a frame; optional columns only where some row has one. id, text and label are left out only if
    no row has the key at all, so that a missing column is seen as missing."""
    there = {key for row in rows for key in row}
    columns = [column for column in _COLUMNS if column in there or (not rows and column in _COLUMNS[:3])]
    return pd.DataFrame([[row.get(column) for column in columns] for row in rows], columns=columns, dtype=object)


def _build(asked: Mapping[Split, Sequence[Entry]]) -> dict[Split, list[Any]]:
    """GX objects per split; one faulty entry is reported together with all others."""
    built: dict[Split, list[Any]] = {split: [] for split in asked}
    faults: dict[str, None] = {}
    for split, entries in asked.items():
        for entry in entries:
            try:
                meta = {"notes": {"format": "string", "content": [str(entry.meta["notes"])]}}
                built[split].append(get_expectation_impl(entry.type)(**entry.kwargs, meta=meta))
            except gx.exceptions.ExpectationNotFoundError:
                faults[f"{entry.type}: Great Expectations {gx.__version__} has no such expectation"] = None
            except (ValueError, TypeError) as error:  # pydantic's ValidationError is a ValueError
                faults[f"{entry}: {' '.join(str(error).split())[:200]}"] = None
    if faults:
        raise UsageError(f"The expectation suite has {len(faults)} fault(s):", details=list(faults))
    return built


def _context(docs: Path) -> Any:
    """An in-memory GX context with one Data Docs site; nothing is written outside `docs`."""
    context = gx.get_context(mode="ephemeral")
    context.enable_analytics(False)
    context.variables.progress_bars = ProgressBarsConfig(globally=False)
    # The default site lives in a temporary folder that nobody would find and nobody would delete.
    for name, site in dict(context.list_data_docs_sites()).items():
        context.delete_data_docs_site(name)
        shutil.rmtree(site["store_backend"]["base_directory"], ignore_errors=True)
    store = {"class_name": "TupleFilesystemStoreBackend", "base_directory": str(docs)}
    index = {"class_name": "DefaultSiteIndexBuilder"}
    site_config = {
        "class_name": "SiteBuilder",
        "show_how_to_buttons": False,
        "store_backend": store,
        "site_index_builder": index,
    }
    context.add_data_docs_site(_SITE, site_config)
    return context


def _run_split(
    context: Any, source: Any, name: str, split: str, expectations: Sequence[Any], frame: pd.DataFrame
) -> list[Any]:
    """GX results in the order of `expectations`; None for one that GX did not answer."""
    gx_suite = context.suites.add(gx.ExpectationSuite(name=name, expectations=list(expectations)))
    batch = source.add_dataframe_asset(split).add_batch_definition_whole_dataframe("all")
    definition = context.validation_definitions.add(gx.ValidationDefinition(name=split, data=batch, suite=gx_suite))
    # Positions of what is unexpected, not values: neither messages nor Data Docs show row text.
    detail = {"result_format": "COMPLETE", "partial_unexpected_count": 0, "exclude_unexpected_values": True}
    checkpoint = gx.Checkpoint(name=split, validation_definitions=[definition], result_format=detail)
    (outcome,) = context.checkpoints.add(checkpoint).run(batch_parameters={"dataframe": frame}).run_results.values()
    answers = {result.expectation_config.id: result for result in outcome.results}
    return [answers.get(expectation.id) for expectation in gx_suite.expectations]


def _escape_results(context: Any) -> None:
    """Escape what GX observed before Data Docs show it: GX 1.24 writes observed values into its pages as they are, so that a
    label `<script>` would run in the reader's browser."""
    store = context.validation_results_store
    for key in store.list_keys():
        validation = store.get(key)
        for result in validation.results:
            result.result = _escaped(result.result)
            result.exception_info = _escaped(result.exception_info)
        store.update(key, validation)


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return html.escape(value)
    if isinstance(value, Mapping):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_escaped(item) for item in value]
    return value


def judge(entry: Entry, result: Any, frame: pd.DataFrame) -> str | None:
    """None if the expectation was met, else one line that says what was expected and what was seen."""
    if result is None:
        return f"{entry}: Great Expectations gave no answer"
    error = _exception(result.exception_info)
    if error is not None:
        if entry.column is not None and entry.column not in frame.columns:
            return f"{entry}: no column {entry.column!r}; saw {', '.join(frame.columns)}"
        return f"{entry}: raised {error} instead of an answer (see the Data Docs)"
    answer = result.result or {}
    if result.success is not True:
        return f"{entry}: {_wanted(entry)}{_seen(entry, answer, frame)}"
    elements = answer.get("element_count")
    if elements is None:
        return None  # a table or aggregate expectation: it has looked at the whole column
    if elements == 0 or answer.get("missing_count", 0) == elements:
        return f"{entry}: looked at no value at all (of {len(frame)} rows), which proves nothing"
    return None


def _exception(info: Any) -> str | None:
    """Class name of what an expectation raised. GX nests the information one level deeper for metric errors.

    Only the class: the message may quote row text.
    """
    if not isinstance(info, Mapping):
        return None
    for part in (info, *info.values()):
        if isinstance(part, Mapping) and part.get("raised_exception"):
            lines = str(part.get("exception_traceback") or "").strip().splitlines()
            return lines[-1].split(":")[0].rsplit(".", 1)[-1] if lines else "an exception"
    return None


def _wanted(entry: Entry) -> str:
    settings = ", ".join(f"{key}={value!r}" for key, value in entry.kwargs.items() if key != "column")
    return f"wanted {settings if len(settings) <= 160 else settings[:159] + '…'}; " if settings else ""


def _seen(entry: Entry, answer: Mapping[str, Any], frame: pd.DataFrame) -> str:
    if answer.get("unexpected_count") is not None:
        elements = answer.get("element_count") or 0
        count = answer["unexpected_count"]
        seen = f"saw {count} of {elements} rows ({count / elements:.2%}) otherwise" if elements else "saw no rows"
        rows = _unexpected_rows(answer, frame)
        if entry.column in _SHOWN and len(rows):
            seen += f", values {_short(sorted({str(value) for value in rows[entry.column]}))}"
        ids = list(map(str, rows["id"])) if "id" in rows else []
        return seen + (f"; ids {_short(ids, 3)}" if ids else "")
    observed = answer.get("observed_value")
    if isinstance(observed, list | set | tuple):
        return f"saw {len(observed)} values" + (
            f": {_short(sorted(map(str, observed)))}" if entry.column in _SHOWN else ""
        )
    return f"saw {observed}" if isinstance(observed, int | float) else "it was not met"


def _unexpected_rows(answer: Mapping[str, Any], frame: pd.DataFrame) -> pd.DataFrame:
    return frame.iloc[[number for number in answer.get("unexpected_index_list") or () if isinstance(number, int)]]


def _unexpected_ids(result: Any, frame: pd.DataFrame) -> list[str]:
    rows = _unexpected_rows((result.result if result else None) or {}, frame)
    return list(map(str, rows["id"])) if "id" in rows else []


def _short(values: Iterable[str], limit: int = 8) -> str:
    listed = [value if len(value) <= 40 else f"{value[:39]}…" for value in values]
    return ", ".join(listed[:limit]) + (f" and {len(listed) - limit} more" if len(listed) > limit else "")
