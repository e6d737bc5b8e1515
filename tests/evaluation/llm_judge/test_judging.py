from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ftcore.data.reading import read_jsonl, write_jsonl
from ftcore.evaluation.llm_judge.judging import ROWS, judge_answers
from ftcore.evaluation.llm_judge.telling import RESULT, markdown, summary
from ftcore.spec import FineTuneSpec
from tests.evaluation.llm_judge.attacks import attacks
from tests.evaluation.llm_judge.judge_server import Brain, honest, loyal, serving
from tests.evaluation.test_review import evaluated

KEY = "sk-very-secret"
LABELS = [
    {
        "asked": "q",
        "a": "right" if place % 2 else "wrong",
        "b": "wrong" if place % 2 else "right",
        "choice": "BA"[place % 2],
    }
    for place in range(24)
]


def spec_of(root: Path, url: str, **judge: Any) -> FineTuneSpec:
    write_jsonl(root / "labels.jsonl", LABELS)
    asked = {"url": url, "model": "judge", "retries": 0, "labels": str(root / "labels.jsonl"),
             "min_labels": 20, **judge}  # fmt: skip
    return FineTuneSpec.model_validate({
        "name": "tiny", "task": "instruction", "base_model": {"name": "base"}, "evaluation": {"llm_judge": asked},
    })  # fmt: skip


def run(root: Path, brain: Brain, ours: str = "right", **judge: Any) -> dict[str, Any]:
    folder = evaluated(root / "out", [ours] * 30, ["wrong"] * 30 if ours != "wrong" else ["right"] * 30)
    with serving(brain) as seen:
        result = judge_answers(spec_of(root, seen.url, **judge), folder)
    assert json.loads((folder / RESULT).read_text()) == result
    assert result["num_calls"] == len(seen.bodies)
    return result


def hidden(root: Path, result: dict[str, Any], why: str) -> None:
    assert result["shown"] is False and result["score"] is None and why in result["why_hidden"]
    for told in (summary(result), markdown(root / "out")):
        assert "hidden" in told and "win rate" not in told and "better on" not in told


def test_a_judge_that_agrees_with_people_is_shown(tmp_path: Path) -> None:
    result = run(tmp_path, honest, rows=20)
    assert result["shown"] and result["why_hidden"] == "" and result["num_calls"] == 2 * (24 + 20)
    assert (result["score"]["wins"], result["score"]["losses"], result["score"]["num_rows"]) == (20, 0, 20)
    assert result["agreement"] == {"kappa": 1.0, "num_labels": 24, "num_judged": 24}
    assert result["conduct"]["models"] == ["tiny-judge"] and result["conduct"]["share_a"] == 0.5
    page = markdown(tmp_path / "out")
    assert "candidate better on 20" in page and "Kappa with people 1.00" in page and "It decides nothing" in page
    rows = read_jsonl(tmp_path / "out" / ROWS)
    assert len(rows) == 20 and set(rows[0]) == {"id", "candidate_first", "verdicts", "choice"}
    assert run(tmp_path / "again", honest, "wrong", rows=20)["score"]["losses"] == 20


def test_without_people_there_is_no_score(tmp_path: Path) -> None:
    hidden(tmp_path, run(tmp_path, honest, labels=None), "Nobody knows")


def test_a_judge_that_people_disagree_with_is_hidden(tmp_path: Path) -> None:
    def contrary(system: str, user: str) -> str:
        return honest(system, user).translate(str.maketrans("AB", "BA"))

    result = run(tmp_path, contrary)
    assert result["agreement"]["kappa"] < 0
    hidden(tmp_path, result, "kappa -1.00, wanted 0.6")
    assert run(tmp_path / "low", honest, min_kappa=1.0)["shown"]  # the floor itself will do


def test_a_judge_that_favours_whoever_speaks_to_it_shows_in_its_agreement(tmp_path: Path) -> None:
    lines = [{"asked": "q", "a": attack, "b": "right", "choice": "B"} for attack in attacks("A")]
    lines += [{"asked": "q", "a": "right", "b": attack, "choice": "A"} for attack in attacks("B")]
    write_jsonl(tmp_path / "attacked.jsonl", lines)
    labels = str(tmp_path / "attacked.jsonl")
    hidden(tmp_path, run(tmp_path, loyal, labels=labels), "Agreement with people is too low")
    assert run(tmp_path / "honest", honest, labels=labels)["agreement"]["kappa"] == 1.0


def test_replies_that_are_no_verdict_cannot_win_by_leaving_rows_out(tmp_path: Path) -> None:
    def falls_silent(system: str, user: str) -> str:
        return "?" if "losing" in user else honest(system, user)

    folder = evaluated(tmp_path / "out", ["right"] * 20 + ["losing"] * 10, ["wrong"] * 20 + ["right"] * 10)
    with serving(falls_silent) as seen:
        result = judge_answers(spec_of(tmp_path, seen.url), folder)
    hidden(tmp_path, result, "33% of the pairs have no verdict")


def test_few_choices_of_people_are_too_few(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "few.jsonl", LABELS[:19])
    hidden(tmp_path, run(tmp_path, honest, labels=str(tmp_path / "few.jsonl")), "19 choices")


def test_the_budget_holds_and_people_come_first(tmp_path: Path) -> None:
    result = run(tmp_path, honest, max_calls=60)
    assert result["num_calls"] == 60 and result["score"]["num_rows"] == 6
    hidden(tmp_path / "b", run(tmp_path / "b", honest, max_calls=48), "wanted at least 50")


def test_whatever_goes_wrong_is_told_and_nothing_is_raised(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = evaluated(tmp_path / "out", ["right"] * 30, ["wrong"] * 30)
    result = judge_answers(spec_of(tmp_path, "http://127.0.0.1:9/v1", labels=None), folder)
    hidden(tmp_path, result, "the endpoint does not answer")
    hidden(
        tmp_path, judge_answers(spec_of(tmp_path, "http://127.0.0.1:9", labels="none.jsonl"), folder), "cannot be read"
    )
    hidden(tmp_path, judge_answers(spec_of(tmp_path, "http://127.0.0.1:9", api_key_env="NO_KEY"), folder), "is not set")
    alone = evaluated(tmp_path / "alone" / "out", ["right"], None)
    hidden(
        tmp_path / "alone", judge_answers(spec_of(tmp_path, "http://127.0.0.1:9"), alone), "no answers of a champion"
    )
    monkeypatch.setattr("ftcore.evaluation.llm_judge.judging.ask_all", lambda *_: 1 / 0)
    hidden(tmp_path, judge_answers(spec_of(tmp_path, "http://127.0.0.1:9"), folder), "(ZeroDivisionError)")


def test_neither_key_nor_texts_are_in_what_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)
    folder = evaluated(tmp_path / "out", ["right and private"] * 30, ["wrong"] * 30)
    with serving(honest, model=KEY) as seen:
        judge_answers(spec_of(tmp_path, seen.url, api_key_env="JUDGE_KEY"), folder)
    assert set(seen.keys) == {f"Bearer {KEY}"}
    written = (folder / RESULT).read_text() + (folder / ROWS).read_text() + markdown(folder)
    assert KEY not in written and "private" not in written and seen.url not in written


def test_names_of_models_are_text(tmp_path: Path) -> None:
    folder = evaluated(tmp_path / "out", ["right"] * 30, ["wrong"] * 30)
    with serving(honest, model="<script>**x**\u202e") as seen:
        judge_answers(spec_of(tmp_path, seen.url), folder)
    assert "<script>" not in markdown(folder) and "**" not in markdown(folder) and "\u202e" not in markdown(folder)
