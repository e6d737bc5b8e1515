from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from ftcore.errors import DataRefused
from ftcore.evaluation.analysis import analyse as module
from ftcore.evaluation.analysis.analyse import Given, analyse, fault_of, finite
from tests.evaluation.analysis.made import evaluated, labelled, other

TRAIN, TEST = labelled(300), labelled(240, seed=1)


def right(row: Any) -> str:
    return str(row["label"])


def some_wrong(row: Any) -> str:
    return other(row["label"]) if int(row["id"][1:]) % 6 == 0 else str(row["label"])


def analysed(folder: Path, answers: Any, test: Any = TEST, train: Any = TRAIN, **more: Any) -> dict[str, Any]:
    evaluated(folder, test, answers, **more)
    found = analyse(Given(folder, "classification", "accuracy", train=train, test=test), strict=True)
    json.dumps(found, allow_nan=False)
    assert found["faults"] == []
    return found


def test_every_section_of_a_classification(tmp_path: Path) -> None:
    found = analysed(tmp_path, {"candidate": some_wrong, "champion": right})
    sections = found["sections"]
    assert found["num_rows"] == 240 and sections["summary"]["num_failing"] == 40
    assert [pair["n"] for pair in sections["confusions"]["pairs"]] == [40]
    assert sum(item["n"] for item in sections["clusters"]) == 40
    assert sections["against_champion"]["num_broken"] == 40 and sections["must_see"]
    assert sections["slices"]["lost"] is not None and set(sections["slices"]["columns"]) <= {
        "source",
        "month",
        "words",
        "topic",
    }
    assert sections["learning_curve"]["points"] and sections["next_data"] and sections["calibration"]
    assert sections["doubted_labels"]["num_judged"] == 240 and sections["worst_answers"] is None


def test_no_errors_at_all(tmp_path: Path) -> None:
    sections = analysed(tmp_path, {"candidate": right})["sections"]
    assert sections["summary"]["num_failing"] == 0
    assert (sections["must_see"], sections["clusters"], sections["next_data"]) == ([], [], [])
    assert sections["against_champion"] is None and sections["slices"]["lost"] is None


def test_one_class_one_row_no_metadata_no_training_rows(tmp_path: Path) -> None:
    same = [{"id": f"x{at}", "text": "money back", "label": "refund"} for at in range(60)]
    one = analysed(tmp_path / "one", {"candidate": right}, same, same, confidence=None, slices=())["sections"]
    assert one["learning_curve"] is None and one["doubted_labels"] is None and one["calibration"] is None
    single = analysed(tmp_path / "single", {"candidate": lambda row: "login"}, same[:1], [], slices=())["sections"]
    assert (
        single["summary"]["num_failing"] == 1
        and single["must_see"][0]["id"] == "x0"
        and single["slices"]["columns"] == []
    )


def test_empty_texts_and_no_embeddings(tmp_path: Path) -> None:
    blank = [{**row, "text": " "} for row in TEST]
    evaluated(tmp_path, blank, {"candidate": some_wrong})
    (tmp_path / "reference" / "embeddings.npy").unlink()
    found = analyse(Given(tmp_path, "classification", "accuracy", train=TRAIN, test=blank), strict=True)
    assert found["sections"]["clusters"] == [] and not found["sections"]["summary"]["has_embeddings"]


def test_generated_text_has_the_sections_that_mean_something(tmp_path: Path) -> None:
    chats = [
        {
            "id": f"c{at}",
            "text": TEST[at]["text"],
            "completion": f"answer {at} about {'very ' * (at % 9)}{TEST[at]['label']}",
            "source": "web",
        }
        for at in range(240)
    ]
    evaluated(
        tmp_path, chats,
        {"candidate": lambda row: row["completion"][: 4 + len(row["id"]) * 3], "champion": lambda row: row["completion"][:20]},
    )  # fmt: skip
    found = analyse(Given(tmp_path, "instruction", "chrf", test=chats), strict=True)
    sections = found["sections"]
    assert sections["worst_answers"]["rows"] and sections["clusters"] and sections["must_see"]
    assert (
        sections["against_champion"]["changed_by"] == 0.1 and "words of the reference" in sections["slices"]["columns"]
    )
    for name in ("confusions", "calibration", "doubted_labels", "learning_curve"):
        assert sections[name] is None, name
    assert sections["next_data"] and {item["kind"] for item in sections["next_data"]} == {"slice"}


def test_a_fault_in_one_section_is_told_and_leaves_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise ValueError("row text that must not be told")

    evaluated(tmp_path, TEST, {"candidate": some_wrong})
    monkeypatch.setattr(module, "confusions", broken)
    given = Given(tmp_path, "classification", "accuracy", test=TEST)
    found = analyse(given)
    assert [item["section"] for item in found["faults"]] == ["confusions"]
    assert "ValueError in test_analyse.py" in found["faults"][0]["fault"] and "row text" not in str(found["faults"])
    assert found["sections"]["confusions"] is None and found["sections"]["clusters"]
    with pytest.raises(ValueError, match="row text"):
        analyse(given, strict=True)


def test_files_that_are_not_there_are_a_fault(tmp_path: Path) -> None:
    found = analyse(Given(tmp_path, "classification", "accuracy"))
    assert (
        found["sections"] == {} and found["num_rows"] == 0 and [item["section"] for item in found["faults"]] == ["rows"]
    )


def test_our_own_errors_speak_for_themselves() -> None:
    assert fault_of(DataRefused("Three rows are missing.", details=["r1"])) == "Three rows are missing. r1"


def test_no_number_is_infinite() -> None:
    assert finite({"a": [math.nan, 1.0, (math.inf,)], "b": "nan"}) == {"a": [None, 1.0, [None]], "b": "nan"}
