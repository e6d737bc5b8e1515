from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftcore.evaluation.analysis.analyse import Given, analyse
from ftcore.evaluation.analysis.conditions import Condition
from ftcore.evaluation.analysis.page import layout, render
from ftcore.evaluation.analysis.slices import Slice
from tests.evaluation.analysis.made import evaluated, labelled, other
from tests.html.reading import UNSHOWN, read
from tests.html.test_elements import ANY

SLICE = {
    "column": "source",
    "value": "s1",
    "n": 120,
    "champion": 0.9,
    "candidate": 0.7,
    "difference": -0.2,
    "blocked": True,
    "judged": True,
}
PROBE = {
    "probe": "forgetting", "name": "bits_per_byte", "what": "loss", "kind": "loss", "n": 36,
    "models": {role: {"value": 1.5, "ci_low": 1.25, "ci_high": None} for role in ("candidate", "base")},
    "differences": [{"of": "candidate", "minus": "base", "difference": 0.25, "ci_low": 0.125, "ci_high": 0.375}],
}  # fmt: skip
VERDICT = {
    "verdict": "FAIL", "reasons": ["On source='s1' the candidate is worse."], "candidate_digest": "c" * 64,
    "champion_digest": "d" * 64, "slices": [SLICE, {**SLICE, "value": "s2", "blocked": False, "judged": False}],
    "probes": [PROBE],
    "models": [
        {"role": role, "metrics": [{"name": "macro_f1", "value": value, "n": 240, "ci_low": 0.5, "ci_high": 0.9}]}
        for role, value in (("candidate", 0.8125), ("champion", 0.8335), ("nearest_centroid", 0.61))
    ],
    "costs": {"candidate": {"size_mb": 45.5, "p95_ms": None, "tokens_read": {"value": 12.5, "ci_low": 12, "ci_high": 13}}},
    "metrics": [{"name": "macro_f1", "difference": -0.021, "ci_low": -0.04, "ci_high": 0.001}],
}  # fmt: skip


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A report with every section filled."""
    folder: Path = tmp_path_factory.mktemp("e")
    train, test = labelled(300), labelled(240, seed=1)
    answers = {
        "candidate": lambda row: other(row["label"]) if int(row["id"][1:]) % 5 == 0 else row["label"],
        "champion": lambda row: other(row["label"]) if int(row["id"][1:]) % 7 == 0 else row["label"],
    }
    doubted = [{**row, "label": other(row["label"])} if int(row["id"][1:]) in (3, 33) else row for row in test]
    by_id = {row["id"]: row["label"] for row in test}
    answers["candidate"] = lambda row, before=answers["candidate"]: before({**row, "label": by_id[row["id"]]})
    evaluated(folder, doubted, answers)
    found = analyse(Given(folder, "classification", "accuracy", {"login": {"refund": 3}}, train, doubted), strict=True)
    item = Slice((Condition("source", "is", "s1"),), 60, 30, 0.5, 0.1, 0.2, 0.6, 0.001, 0.01).to_dict()
    shown = {**item, "loss_all": 0.5, "num_failing": 30, "labels": [{"label": "login", "share": 0.5}]}
    for name in ("worse", "lost"):
        found["sections"]["slices"][name] = [{**shown, "examples": found["sections"]["must_see"][:1]}]
    return {"spec": "tiny", "verdict": VERDICT, **found}


def test_scores_of_all_models_stand_side_by_side(report: dict[str, Any]) -> None:
    text = " ".join(read(render(report, strict=True)).text)
    for told in (
        "nearest centroid",
        "0.8125 (0.5000 to 0.9000)",
        "-0.0210 (-0.0400 to +0.0010)",
        "45.5",
        "12.5 (12.0 to 13.0)",
    ):
        assert told in text, told
    assert "95th percentile" not in text  # nobody measured it
    assert "Scores" not in "".join(read(render({**report, "verdict": {**VERDICT, "models": []}}, strict=True)).text)


def test_every_section_is_there_and_linked(report: dict[str, Any]) -> None:
    page = render(report, strict=True)
    seen = read(page)
    text = "".join(seen.text)
    for title in (
        "Scores", "Rows to look at first", "Confusions", "Failing rows in clusters", "Slices found", "Slices of the spec",
        "Against the champion", "Can its confidence be believed?", "Labels of the holdout in doubt", "Would more data help?",
        "What data to add next",
    ):  # fmt: skip
        assert title in text, title
    targets = {value[1:] for value in seen.values if value.startswith("#")}
    assert targets and targets <= set(seen.values)
    assert "blocks the promotion" in text and "too few rows" in text and "FAIL" in text
    assert "Look at the slice source is s1: 40.0 points more errors than elsewhere" in text


def test_words_for_generated_text(report: dict[str, Any]) -> None:
    scored = {
        "text": "how",
        "target": "so",
        "candidate": "no",
        "candidate_score": 0.1,
        "champion": "yes",
        "champion_score": 0.4,
        "id": "c1",
    }
    worst = {
        "metric": "rouge_l",
        "scores": {"candidate": [0.1, 0.2]},
        "mean": {"candidate": 0.15},
        "num_zero": 0,
        "rows": [scored],
    }
    sections = {**report["sections"], "worst_answers": worst, "must_see": [scored], "confusions": None}
    page = render({**report, "task": "instruction", "metric": "rouge_l", "sections": sections}, strict=True)
    text = "".join(read(page).text)
    assert "rouge l" in text and "wanted" in text and "points more loss than elsewhere" in text


def test_the_top_says_how_both_models_did(report: dict[str, Any]) -> None:
    head = "".join(read(render(report, strict=True)).text).split("Rows to look at first")[0]
    scores = report["sections"]["summary"]["mean_score"]
    wrong = report["sections"]["summary"]["num_failing"]
    assert f"{wrong} of 240 rows wrong, the champion {round((1 - scores['champion']) * 240)}" in head
    assert f"{100 * scores['candidate']:.1f} % right" in head
    assert "Difference in macro f1" in head and "-2.1 points (-4.0 to +0.1)" in head


def replaced(value: Any, change: Callable[[str], str]) -> Any:
    """All words of a report changed, but not the keys."""
    if isinstance(value, dict):
        return {name: replaced(item, change) for name, item in value.items()}
    if isinstance(value, list):
        return [replaced(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


@settings(max_examples=12, deadline=None)
@given(hostile=ANY)
def test_whatever_the_words_are_they_stay_words(report: dict[str, Any], hostile: str) -> None:
    plain = replaced(copy.deepcopy(report), lambda text: "x")
    evil = replaced(copy.deepcopy(report), lambda text: hostile)
    for one in (plain, evil):
        one["task"] = "classification"
    seen = read(render(evil, strict=True))
    assert {tag for tag, _ in seen.outline} <= {tag for tag, _ in read(render(plain, strict=True)).outline} | {"wbr"}
    assert not UNSHOWN.search("".join(seen.text)) and not any(UNSHOWN.search(value) for value in seen.values)


@given(st.text(max_size=30))
def test_hostile_names_of_models_and_columns(name: str) -> None:
    sections = {"summary": {"num_failing": 1, "num_groups": None, "mean_score": {name: 0.5}, "has_embeddings": False}}
    page = render(
        {"spec": name, "verdict": {**VERDICT, "slices": []}, "task": "classification", "metric": "accuracy", "num_rows": 2,
         "num_all_rows": 9, "sections": sections, "faults": [{"section": name, "fault": name}]},
        strict=True,
    )  # fmt: skip
    assert "2 drawn of 9" in "".join(read(page).text)


def test_a_section_that_cannot_be_drawn_is_told(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Any:
        raise KeyError("row text")

    monkeypatch.setattr(layout, "champion_section", broken)
    text = "".join(read(render(report)).text)
    assert "against_champion: cannot be drawn: KeyError" in text and "row text" not in text and "Confusions" in text
    with pytest.raises(KeyError):
        render(report, strict=True)


def test_an_analysis_that_found_nothing_is_a_page_too() -> None:
    empty = {
        "version": 1,
        "task": "classification",
        "metric": "accuracy",
        "num_rows": 0,
        "num_all_rows": 0,
        "sections": {},
    }
    text = "".join(
        read(render({"spec": "s", "verdict": {**VERDICT, "slices": []}, **empty, "faults": []}, strict=True)).text
    )
    assert "The errors could not be analysed" in text and "FAIL" in text
