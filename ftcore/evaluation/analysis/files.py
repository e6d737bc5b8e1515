"""Writes an analysis beside the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftcore.data.reading import read_jsonl
from ftcore.evaluation.analysis.analyse import VERSION, Given, analyse, fault_of
from ftcore.evaluation.analysis.finding import DATA, PAGE
from ftcore.evaluation.analysis.page import render
from ftcore.evaluation.llm_judge.telling import read_result, summary
from ftcore.records import canonical_json
from ftcore.spec import FineTuneSpec
from ftcore.store import write_durable


def write_analysis(
    target: Path, spec: FineTuneSpec, verdict: Mapping[str, Any], evaluated: Path, prepared: Path | None
) -> None:
    """Write analysis.json and report.html into `target`. Whatever goes wrong in the analysis is told in them, never raised.

    Args:
        verdict: As in verdict.json.
        evaluated: Output of `evaluate`.
        prepared: Output of `prepare`; None: no training rows, so no learning curve, and no metadata beyond the slices.

    Raises:
        StorageError: The files cannot be written.
    """
    report = {"spec": spec.name, "verdict": dict(verdict), **_analysed(spec, evaluated, prepared)}
    if opinion := read_result(evaluated):
        report["llm_judge"] = summary(opinion)
    try:
        drawn, data = render(report).encode(), canonical_json(report).encode()
    except Exception as error:  # noqa: BLE001 (whatever it is: the verdict stands, and its folder has its files)
        fault = {"section": "report", "fault": fault_of(error)}
        report = {"spec": spec.name, "verdict": dict(verdict), **_nothing(spec, fault)}
        drawn, data = render(report).encode(), canonical_json(report).encode()
    write_durable(target / DATA, data)
    write_durable(target / PAGE, drawn)


def _analysed(spec: FineTuneSpec, evaluated: Path, prepared: Path | None) -> dict[str, Any]:
    try:
        train, test, reviewed = _prepared_rows(prepared)
        given = Given(
            evaluated, spec.task, spec.gate.metric, spec.evaluation.costs, train=train, test=test, reviewed=reviewed
        )
        return analyse(given)
    except Exception as error:  # noqa: BLE001 (whatever it is: an analysis must never change a verdict)
        return _nothing(spec, {"section": "rows", "fault": fault_of(error)})


def _nothing(spec: FineTuneSpec, fault: Mapping[str, str]) -> dict[str, Any]:
    return {
        "version": VERSION, "task": spec.task, "metric": spec.gate.metric, "num_rows": 0, "num_all_rows": 0, "sections": {},
        "faults": [dict(fault)],
    }  # fmt: skip


def _prepared_rows(prepared: Path | None) -> tuple[list[dict[str, Any]], list[dict[str, Any]], frozenset[str]]:
    """Training rows, test rows, and ids of test rows in the label audit's queue."""
    if prepared is None:
        return [], [], frozenset()
    queue = prepared / "label_review.jsonl"
    suspects = read_jsonl(queue) if queue.is_file() else []
    return (
        read_jsonl(prepared / "train.jsonl"),
        read_jsonl(prepared / "test.jsonl"),
        frozenset(str(item["id"]) for item in suspects if item.get("split") == "test"),
    )
