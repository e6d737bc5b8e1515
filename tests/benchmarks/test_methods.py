"""The table of methods: what is declared is valid, docs/methods.md shows what was measured, and rows are measured right."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.documents import put_between
from benchmarks.methods.measure import Given, ask_baseline, train_row
from benchmarks.methods.plan import DataSet, Row, chosen, read_plan, spec_of, spec_of_row
from benchmarks.methods.results import is_current, missed, read_results, write_results
from benchmarks.methods.table import BEGIN, DOC, END, table
from ftcore.models.base import BaseModel
from ftcore.records import PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from tests.tiny_bert import LABELS, make_rows

PLAN = read_plan()
SET = DataSet("tiny", "Tiny rows", "dags/specs/support_intents.yaml", {}, None, False, False)
ROW = Row(SET, "full", "full", None, {"training.epochs": 2}, {"score": 0.9})
FIGURES = {
    "metric": "accuracy", "score": 0.875, "num_test": 8, "num_train": 24, "num_trainable": 50, "num_parameters": 200,
    "minutes": 0.26, "samples_per_s": 240.4, "peak_mb": 1234.5, "model_mb": 91.2, "cpu": "A CPU", "threads": 2,
    "precision": "bf16", "libraries": {"torch": "9"}, "settings": ROW.digest, "row": ROW.name,
}  # fmt: skip


def test_every_declared_row_is_a_valid_spec() -> None:
    for row in PLAN:
        spec = spec_of_row(row, spec_of(row, None))
        assert spec.compute.device == "cpu" and spec.method.start_from == "base", row.name
        assert row.baseline in (None, "nearest_centroid", "base", "few_shot", "similar_reply")


def test_rows_are_named_once_and_chosen_by_pattern() -> None:
    names = [row.name for row in PLAN]
    assert len(names) == len(set(names))
    assert [row.name for row in chosen(PLAN, ["banking77/full", "*_replies/lor?"])] == [
        "support_replies/lora",
        "banking77/full",
    ]
    assert {row.method for row in PLAN if row.data.name == "support_replies"} >= {"few_shot", "full", "lora"}
    assert "support_intents/few_shot" not in names


def test_other_settings_are_another_measurement(tmp_path: Path) -> None:
    results = {ROW.name: FIGURES}
    assert is_current(ROW, results)
    assert not is_current(dataclasses.replace(ROW, settings={"training.epochs": 3}), results)
    assert not is_current(dataclasses.replace(ROW, data=dataclasses.replace(SET, whole_test=True)), results)
    assert is_current(dataclasses.replace(ROW, title="other words", wanted={}), results)
    write_results({**results, "gone/full": FIGURES}, [ROW], tmp_path / "results.jsonl")
    assert read_results(tmp_path / "results.jsonl") == results


def test_missing_and_low_figures_are_missed() -> None:
    assert missed(ROW, {"score": 0.9}) == []
    assert missed(ROW, {"score": 0.89}) == ["tiny/full: score 0.890, wanted at least 0.9"]
    assert missed(ROW, {}) and missed(ROW, {"score": float("nan")})


def test_the_table_shows_rows_measured_with_the_settings_of_today() -> None:
    lines = table([ROW], {ROW.name: FIGURES}).splitlines()
    assert lines[-1] == "| full | 0.875 | 50 (25.0%) | 0.3 | 1,234 | 240 | 91 |  |"
    assert "Measured on: A CPU, 2 threads, bf16; torch 9." in lines
    stale = dataclasses.replace(ROW, settings={"training.epochs": 3})
    assert "0.875" not in table([stale], {ROW.name: FIGURES})
    taught = table([ROW], {ROW.name: {**FIGURES, "share_of_teacher": 0.98, "speedup": 1.94}})
    assert "keeps 98.0% of its teacher's accuracy and answers 1.9 times as fast" in taught


def test_the_document_shows_the_results_that_are_kept() -> None:
    results, document = read_results(), DOC.read_text(encoding="utf-8")
    assert put_between(document, BEGIN, table(PLAN, results), END) == document, (
        "python -m benchmarks.methods --list --render"
    )
    wanted = [row for row in PLAN if row.wanted]
    assert wanted and all(is_current(row, results) for row in wanted), "a figure that is wanted was not measured"
    assert [line for row in wanted for line in missed(row, results[row.name])] == []


@pytest.fixture
def given(home: Path, tiny_base: BaseModel) -> Given:
    folder = home / "stages" / "prepare" / "k"
    folder.mkdir(parents=True)
    for split, rows in (("train", make_rows(60)), ("validation", make_rows(9, seed=1))):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "labels.json").write_text(json.dumps(LABELS))
    prepared = PreparedDataset(
        uri="stages/prepare/k", content_digest="c", train_digest="r", labels=LABELS, num_rows={}, num_quarantined={},
        num_tokens={}, test_digest="t",
    )  # fmt: skip
    spec = FineTuneSpec.model_validate(
        {"name": "tiny", "base_model": {"name": str(tiny_base.path)}, "training": {"batch_size": 8, "max_length": 16},
         "compute": {"device": "cpu", "precision": "fp32", "threads": 1}}
    )  # fmt: skip
    return Given(spec, {"prepare": prepared}, Store(), make_rows(30, seed=2))  # type: ignore[arg-type]


def row_of(baseline: str | None = None, **settings: object) -> Row:
    return Row(SET, "any", "any", baseline, {"training.epochs": 4, "training.learning_rate": 0.01, **settings}, {})


def test_a_trained_row_has_all_its_figures(given: Given) -> None:
    found = train_row(row_of(**{"method.name": "lora", "method.rank": 2, "method.shots": 10}), given, None)
    assert (found.metric, found.num_test, found.num_train) == ("accuracy", 30, 30)
    assert found.score > 0.8 and found.num_parameters is not None and 0 < found.num_trainable < found.num_parameters
    assert found.model_mb is not None and found.adapter_mb is not None and 0 < found.adapter_mb < found.model_mb
    assert found.minutes and found.samples_per_s and found.peak_mb and found.peak_mb > 100
    assert found.speedup is None


def test_a_student_is_compared_with_its_teacher(given: Given) -> None:
    found = train_row(row_of(**{"method.distill": {"student_layers": 1}}), given, None)
    assert found.share_of_teacher is not None and 0.3 < found.share_of_teacher < 3
    assert found.speedup is not None and found.speedup > 0.5


@pytest.mark.parametrize("measure", [ask_baseline, train_row])
def test_a_smoke_looks_at_few_rows(given: Given, measure: Callable[..., object]) -> None:
    found = measure(row_of("nearest_centroid"), given, 6)
    assert (found.num_test, found.num_train) == (6, 6)  # type: ignore[attr-defined]


def test_a_baseline_sees_the_shots_alone(given: Given) -> None:
    found = ask_baseline(row_of("nearest_centroid", **{"method.shots": 4}), given, None)
    assert (found.num_train, found.num_test, found.minutes) == (12, 30, None)
    assert found.score > 0.4
