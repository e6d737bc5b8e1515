from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from ftcore.errors import DataUnreachable, IntegrityError, UsageError
from ftcore.evaluation.benchmarks import Asked, benchmark, results_of
from ftcore.models.devices import Device
from ftcore.models.loading import save_model
from tests.stages.test_evaluate import make_classifier
from tests.tiny_bert import LABELS, build_tiny_bert
from tests.tiny_families import WORDS, build

CPU = Device("cpu", "fp32", 1)


def write_task(root: Path, num_rows: int = 12) -> Path:
    """Which word follows: a task in lm-eval's own form, its rows in a file beside it."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [{"q": f"{WORDS[i]} {WORDS[i + 1]}", "a": WORDS[i + 2], "b": WORDS[i + 3]} for i in range(num_rows)]
    (root / "rows.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (root / "next_word.yaml").write_text(
        "task: next_word\ndataset_path: json\n"
        f"dataset_kwargs: {{data_files: {{test: {root / 'rows.json'}}}}}\n"
        "test_split: test\noutput_type: multiple_choice\n"
        'doc_to_text: "{{q}}"\ndoc_to_choice: "{{[a, b]}}"\ndoc_to_target: 0\n'
        "metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]\nmetadata: {version: 1.0}\n"
    )
    return root


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    import datasets.config

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)


@pytest.mark.parametrize("family", ["llama", "t5"])
def test_a_saved_model_is_measured_on_a_task(family: str, tmp_path: Path) -> None:
    digest = save_model(*build(family, 5), tmp_path / "model")
    asked = Asked(("next_word",), limit=8, include=write_task(tmp_path / "tasks"))
    found = benchmark(tmp_path / "model", digest, asked, CPU, 4)
    [line] = found["results"]
    assert (line["task"], line["metric"], line["n"], line["shots"], line["version"]) == ("next_word", "acc", 8, 0, 1.0)
    assert 0 <= line["value"] <= 1 and line["value"] * 8 == int(line["value"] * 8) and line["stderr"] is not None
    assert found["model"] == digest and found["limit"] == 8
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert benchmark(tmp_path / "model", digest, asked, CPU, 3)["results"] == found["results"]


def test_only_the_very_model_is_measured(tmp_path: Path) -> None:
    save_model(*build("llama", 5), tmp_path / "model")
    asked = Asked(("next_word",), include=write_task(tmp_path / "tasks"))
    with pytest.raises(IntegrityError, match="wanted aaaa"):
        benchmark(tmp_path / "model", "a" * 64, asked, CPU, 4)


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lm_eval.tasks import TaskManager

    tasks = write_task(tmp_path / "tasks")
    digest = save_model(*build("t5", 5), tmp_path / "model")
    plain = TaskManager.__init__  # without lm-eval's own thousands of tasks, which take long to read
    monkeypatch.setattr(
        TaskManager, "__init__", lambda self, **given: plain(self, **given | {"include_defaults": False})
    )
    with pytest.raises(UsageError, match="wanted names") as caught:
        benchmark(tmp_path / "model", digest, Asked(("next_word", "no_such"), include=tasks), CPU, 4)
    assert caught.value.details == ("'no_such' is no task",)
    with pytest.raises(UsageError, match="no chat template"):
        benchmark(tmp_path / "model", digest, Asked(("next_word",), chat=True), CPU, 4)
    classes = make_classifier(build_tiny_bert(tmp_path / "bert").path, tmp_path / "classes", LABELS, 1)
    with pytest.raises(UsageError, match="names classes"):
        benchmark(tmp_path / "classes" / "model", classes, Asked(("next_word",)), CPU, 4)
    (tasks / "rows.json").unlink()
    with pytest.raises(DataUnreachable, match="Rows of next_word cannot be fetched"):
        benchmark(tmp_path / "model", digest, Asked(("next_word",), include=tasks), CPU, 4)


def test_without_lm_eval_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "lm_eval", None)
    with pytest.raises(UsageError, match="not installed") as caught:
        benchmark(tmp_path, "a" * 64, Asked(("x",)), CPU, 4)
    assert "ftcore[lm-eval]" in caught.value.hint


def test_numbers_come_with_their_filter_and_nothing_else_does() -> None:
    scores = {
        "alias": "t", "acc,none": 0.5, "acc_stderr,none": 0.1, "f1,strict": 0.25, "f1_stderr,strict": "N/A", "sample_len": 3,
        "bad,none": float("nan"),
    }  # fmt: skip
    lines = results_of({"results": {"t": scores}, "versions": {"t": 2}})
    assert [(line["metric"], line["filter"], line["value"], line["stderr"]) for line in lines] == [
        ("acc", "none", 0.5, 0.1), ("f1", "strict", 0.25, None),
    ]  # fmt: skip
    assert lines[0]["version"] == 2 and lines[0]["n"] is None
