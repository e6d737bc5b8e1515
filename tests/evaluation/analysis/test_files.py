from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.evaluation.analysis import files
from ftcore.evaluation.analysis.files import write_analysis
from ftcore.spec import FineTuneSpec
from tests.evaluation.analysis.made import evaluated, labelled, other, prepared
from tests.html.reading import read
from tests.html.test_elements import HOSTILE

SPEC = FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "none"}})
VERDICT = {"verdict": "FAIL", "reasons": ["worse"], "slices": [], "candidate_digest": "c" * 64, "champion_digest": None}


def written(target: Path, evaluation: Path, data: Path | None, spec: FineTuneSpec = SPEC) -> tuple[dict[str, Any], str]:
    target.mkdir(exist_ok=True)
    write_analysis(target, spec, VERDICT, evaluation, data)
    return json.loads((target / "analysis.json").read_text()), (target / "report.html").read_text()


def test_the_report_lies_beside_the_verdict(tmp_path: Path) -> None:
    test, train = labelled(120, seed=1), labelled(200)
    evaluated(
        tmp_path / "e", test, {"candidate": lambda row: other(row["label"]) if row["id"] < "r3" else row["label"]}
    )
    report, page = written(tmp_path / "j", tmp_path / "e", prepared(tmp_path / "p", train, test))
    assert report["spec"] == "tiny" and report["verdict"]["verdict"] == "FAIL" and report["faults"] == []
    assert report["sections"]["learning_curve"] is not None
    assert "rows wrong" in page and "<script" not in page and "http" not in page.replace("http-equiv", "")
    again = written(tmp_path / "k", tmp_path / "e", tmp_path / "p")
    assert again == (report, page)


def test_costs_of_the_spec_rank_the_confusions(tmp_path: Path) -> None:
    test = labelled(60)
    evaluated(tmp_path / "e", test, {"candidate": lambda row: other(row["label"])})
    raw = {"name": "tiny", "base_model": {"name": "none"}, "evaluation": {"costs": {"login": {"refund": 7}}}}
    report, _ = written(tmp_path / "j", tmp_path / "e", None, FineTuneSpec.model_validate(raw))
    assert report["sections"]["confusions"]["pairs"][0]["cost"] == 7


@pytest.mark.parametrize("damage", ["missing", "not json", "no columns", "broken embeddings", "no prepared rows"])
def test_damaged_inputs_never_raise(tmp_path: Path, damage: str) -> None:
    evaluation = tmp_path / "e"
    if damage != "missing":
        evaluated(evaluation, labelled(40), {"candidate": lambda row: row["label"]})
    if damage == "not json":
        (evaluation / "predictions" / "candidate.jsonl").write_text("{")
    if damage == "no columns":
        (evaluation / "predictions" / "candidate.jsonl").write_text('{"a": 1}\n')
    if damage == "broken embeddings":
        (evaluation / "reference" / "embeddings.npy").write_bytes(b"no array")
    report, page = written(tmp_path / "j", evaluation, tmp_path / "nowhere" if damage == "no prepared rows" else None)
    assert [item["section"] for item in report["faults"]] == ["rows"]
    assert report["sections"] == {} and "What could not be analysed" in page and "stands as it is" in page


@pytest.mark.parametrize("broken", ["render", "analyse"])
def test_whatever_breaks_the_page_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    real, calls = getattr(files, broken), [0]

    def fails_once(*args: Any, **kwargs: Any) -> Any:
        calls[0] += 1
        if calls[0] == 1:
            raise RecursionError
        return real(*args, **kwargs)

    evaluated(tmp_path / "e", labelled(40), {"candidate": lambda row: row["label"]})
    monkeypatch.setattr(files, broken, fails_once)
    report, page = written(tmp_path / "j", tmp_path / "e", None)
    assert "RecursionError" in report["faults"][0]["fault"] and "RecursionError" in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_hostile_rows_stay_text(tmp_path: Path, hostile: str) -> None:
    safe = hostile.encode("utf-8", "replace").decode()  # no lone surrogate reaches a canonical row
    rows = [
        {
            **row, "id": f"{safe}{at}", "text": f"{safe} {row['text']}", "label": f"{safe}{row['label']}",
            "source": f"{safe}{at % 2}", "group": f"{safe}{at}",
        }
        for at, row in enumerate(labelled(240))
    ]  # fmt: skip
    answers = {
        "candidate": lambda row: f"{safe}refund" if row["source"].endswith("1") else row["label"],
        "champion": lambda row: row["label"],
    }
    evaluated(tmp_path / "e", rows, answers)
    report, page = written(tmp_path / "j", tmp_path / "e", prepared(tmp_path / "p", rows, rows))
    assert report["faults"] == []
    seen = read(page)
    tags = {tag for tag, _ in seen.outline}
    assert not tags & {"script", "img", "iframe", "form", "b1"}
    assert not any(name.startswith("on") for _, names in seen.outline for name in names)
