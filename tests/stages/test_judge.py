from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ftcore.data.reading import write_jsonl
from ftcore.evaluation.classification.metrics import score
from ftcore.evaluation.gate.evidence import gather_evidence
from ftcore.evaluation.gate.judge import judge as evaluate_gate
from ftcore.evaluation.markdown import escape
from ftcore.evaluation.rows import Column, holdout_of
from ftcore.records import Evaluation, Scored, Verdict, record_from_dict
from ftcore.spec import FineTuneSpec, GateSpec
from ftcore.stages import judge
from ftcore.store import Output, Store
from tests.standing import given_to_judge

SPEC = FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "none"}})
SHARES = {"candidate": 0.92, "champion": 0.80, "majority": 0.3, "nearest_centroid": 0.6}


def evaluated(root: Path, shares: dict[str, float], num_rows: int = 600) -> Evaluation:
    """An evaluation whose roles are right on the given shares of rows."""
    rng = np.random.default_rng(8)
    target = [f"c{i % 4}" for i in range(num_rows)]
    answers: dict[str, list[str]] = {}
    for role, share in shares.items():
        right = set(rng.permutation(num_rows)[: int(share * num_rows)].tolist())
        answers[role] = [label if i in right else f"c{(i + 1) % 4}" for i, label in enumerate(target)]
        rows = [
            {
                "id": str(i),
                "target": target[i],
                "prediction": answers[role][i],
                "confidence": 0.5,
                "source": f"s{i % 2}",
            }
            for i in range(num_rows)
        ]
        write_jsonl(root / "evaluated" / "predictions" / f"{role}.jsonl", rows)
    (root / "evaluated" / "tables.json").write_text(json.dumps({"slices": ["source"]}))
    holdout = holdout_of(Column.of(target), {role: Column.of(labels) for role, labels in answers.items()})
    scored = tuple(Scored(role=role, model_digest=role[:4] * 16, metrics=score(holdout, role)) for role in shares)
    return Evaluation(
        uri="evaluated", test_digest="t" * 64, num_rows=num_rows, models=scored, candidate_digest="cand" * 16,
        champion_digest="cham" * 16 if "champion" in shares else None, champion_seq=3 if "champion" in shares else 0,
    )  # fmt: skip


def judged(root: Path, evaluation: Evaluation, spec: FineTuneSpec = SPEC, **change: Any) -> Verdict:
    """Judge with what the ledger would say if nothing had changed since the evaluation, but for `change`."""
    (root / "judged").mkdir(exist_ok=True)
    output = Output(root / "judged", "judged", root / "s")
    return judge.run(spec, given_to_judge(spec, evaluation, **change), output, Store(root))


def test_a_clearly_better_candidate_passes(tmp_path: Path) -> None:
    evaluation = evaluated(tmp_path, SHARES)
    verdict = judged(tmp_path, evaluation)
    assert verdict.outcome == "PASS" and not verdict.refused
    assert "+12.00 points" in verdict.reasons[0]
    assert verdict.champion_seq == 3 and verdict.evaluation_digest == evaluation.digest
    assert record_from_dict(verdict.to_dict()) == verdict
    stored = json.loads((tmp_path / "judged" / "verdict.json").read_text())
    assert stored["verdict"] == "PASS" and {item["column"] for item in stored["slices"]} == {"source", "label"}
    page = (tmp_path / "judged" / "verdict.md").read_text()
    assert page.startswith("# tiny: PASS") and "| nearest_centroid |" in page and "{" not in page


def test_a_first_promotion_passes_on_floors_and_baselines(tmp_path: Path) -> None:
    shares = {role: share for role, share in SHARES.items() if role != "champion"}
    verdict = judged(tmp_path, evaluated(tmp_path, shares))
    assert verdict.outcome == "PASS" and verdict.metrics == () and verdict.champion_digest is None


@pytest.mark.parametrize(
    ("candidate", "rows", "outcome"),
    [(0.7, 600, "FAIL"), (0.81, 600, "NOT ENOUGH EVIDENCE"), (0.92, 120, "NOT ENOUGH EVIDENCE")],
)
def test_anything_but_pass_is_a_refusal(tmp_path: Path, candidate: float, rows: int, outcome: str) -> None:
    verdict = judged(tmp_path, evaluated(tmp_path, SHARES | {"candidate": candidate}, rows))
    assert verdict.outcome == outcome and verdict.refused == verdict.reasons != ()


def changed_rows(root: Path, role: str, **change: Any) -> None:
    path = root / "evaluated" / "predictions" / f"{role}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows[5] |= change
    write_jsonl(path, rows)


@pytest.mark.parametrize(
    ("role", "change", "reason"),
    [
        ("champion", {"id": "other"}, "1 id of"),
        ("champion", {"target": "c9"}, "target differs"),
        ("candidate", {"prediction": None}, "no prediction"),
        ("candidate", {"prediction": "c77"}, "recorded as"),
    ],
)
def test_rows_that_do_not_fit_are_held(tmp_path: Path, role: str, change: dict[str, Any], reason: str) -> None:
    evaluation = evaluated(tmp_path, SHARES)
    changed_rows(tmp_path, role, **change)
    verdict = judged(tmp_path, evaluation)
    assert verdict.outcome == "HOLD" and any(reason in line for line in verdict.reasons), verdict.reasons


def test_missing_predictions_are_held(tmp_path: Path) -> None:
    evaluation = evaluated(tmp_path, SHARES)
    (tmp_path / "evaluated" / "predictions" / "champion.jsonl").unlink()
    verdict = judged(tmp_path, evaluation)
    assert verdict.outcome == "HOLD" and any("No file" in line for line in verdict.reasons)


def test_a_missing_metric_is_held(tmp_path: Path) -> None:
    evaluation = evaluated(tmp_path, SHARES)
    candidate = replace(evaluation.models[0], metrics=evaluation.models[0].metrics[:2])
    verdict = judged(tmp_path, replace(evaluation, models=(candidate, *evaluation.models[1:])))
    assert verdict.outcome == "HOLD" and "macro_recall of the candidate is missing." in verdict.reasons


def test_a_metric_that_is_no_number_is_a_fault_of_the_evidence(tmp_path: Path) -> None:
    """No record can hold one, so that it would have to come from somewhere else."""
    evaluation = evaluated(tmp_path, SHARES)
    first, *others = evaluation.models[0].metrics
    candidate = replace(evaluation.models[0], metrics=(replace(first, value=math.nan), *others))
    evidence = gather_evidence(
        replace(evaluation, models=(candidate, *evaluation.models[1:])), tmp_path / "evaluated", ()
    )
    assert any("nan" in line for line in evidence.faults), evidence.faults
    assert evaluate_gate(GateSpec(floors={}), evidence).outcome == "HOLD"


def test_an_evaluation_of_another_model_is_held(tmp_path: Path) -> None:
    verdict = judged(tmp_path, replace(evaluated(tmp_path, SHARES), candidate_digest="f" * 64))
    assert verdict.outcome == "HOLD" and "the evaluation names ffffffffffff" in verdict.reasons[0]


def test_a_champion_that_was_never_scored_is_held(tmp_path: Path) -> None:
    evaluation = evaluated(tmp_path, {role: share for role, share in SHARES.items() if role != "champion"})
    verdict = judged(tmp_path, replace(evaluation, champion_digest="a" * 64))
    assert verdict.outcome == "HOLD"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            {"rule_changes": ("gate.margin: 0.005 -> 0.05",)},
            "before the training (gate.margin: 0.005 -> 0.05): put it back",
        ),
        ({"champion_digest": "f" * 64, "champion_seq": 9}, "now it is ffffffffffff (9)"),
        ({"look": 21}, "fresh rows in place of 5% of it"),
        ({"compared_digest": "other"}, "made for other baselines, slices"),
    ],
)
def test_a_gate_a_champion_or_a_holdout_that_is_not_as_it_was_is_held(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    verdict = judged(tmp_path, evaluated(tmp_path, SHARES), **change)
    assert verdict.outcome == "HOLD" and any(reason in line for line in verdict.reasons) and not verdict.looked


def test_later_looks_ask_for_more(tmp_path: Path) -> None:
    """+4 points on 600 rows: shown at the first look, not at the tenth."""
    evaluation = evaluated(tmp_path, SHARES | {"candidate": 0.84})
    first, tenth = judged(tmp_path, evaluation), judged(tmp_path, evaluation, look=10)
    assert (first.outcome, tenth.outcome) == ("PASS", "NOT ENOUGH EVIDENCE")
    assert "one-sided 99.5 % bounds" in tenth.reasons[0]
    assert "Look 10 at these rows, of at most 20" in (tmp_path / "judged" / "verdict.md").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "a|b",
        "[x](javascript:y)",
        "`c`\n# head",
        "![i](u)",
        "_a_ __b__ a_",
        "\x1b[31m\u202e",
    ],
)
def test_escape_leaves_no_markup(text: str) -> None:
    left = escape(text)
    assert not set(left.replace("&#", "").replace(";", "")) & set("<>|`[]!*_\n\x1b\u202e#")


def test_the_error_report_lies_beside_the_verdict_and_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = evaluated(tmp_path, SHARES)
    verdict = judged(tmp_path, evaluation)
    report = json.loads((tmp_path / "judged" / "analysis.json").read_text())
    assert report["faults"] == [] and report["verdict"]["verdict"] == "PASS" and report["num_rows"] == 600
    assert "PASS" in (tmp_path / "judged" / "report.html").read_text()

    def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError("something unforeseen")

    monkeypatch.setattr("ftcore.evaluation.analysis.files.analyse", broken)
    again = judged(tmp_path, evaluation)
    assert again == verdict
    report = json.loads((tmp_path / "judged" / "analysis.json").read_text())
    assert "RuntimeError" in report["faults"][0]["fault"]
