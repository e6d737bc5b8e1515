"""Paired text metrics through the gate: gains are seen, noise is not, and nothing incomparable is compared."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from ftcore.data.reading import write_jsonl
from ftcore.evaluation.compare import compare_files
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.gate.slices import compare_slices
from ftcore.evaluation.generation.holdout import Reply, TextHoldout, text_holdout
from ftcore.evaluation.generation.metrics import FORMULAS
from ftcore.evaluation.generation.paired import text_difference, text_spread
from ftcore.evaluation.rows import Column
from ftcore.spec import GateSpec

GATE = GateSpec(metric="chrf", floors={"chrf": 0.2})


def texts(num_rows: int, share_right: float, seed: int) -> tuple[list[str], list[str]]:
    rng = np.random.default_rng(seed)
    targets = [f"we send card number {i} to you today please wait" for i in range(num_rows)]
    wrong = "sorry we do not know what happened here"
    return targets, [
        text if right else wrong for text, right in zip(targets, rng.random(num_rows) < share_right, strict=True)
    ]


def holdout(candidate: float, champion: float, num_rows: int = 400, **more: object) -> TextHoldout:
    targets, ours = texts(num_rows, candidate, 1)
    theirs = texts(num_rows, champion, 2)[1]
    return text_holdout(targets, {"candidate": Reply(ours), "champion": Reply(theirs)}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize("metric", ["chrf", "bleu", "rouge_l", "exact_match"])
def test_a_gain_passes_and_a_loss_fails(metric: str) -> None:
    gate = GateSpec(metric=metric, floors={metric: 0.1})
    better, worse = (holdout(ours, theirs, num_rows=220) for ours, theirs in ((0.8, 0.5), (0.5, 0.8)))
    found = judge(gate, Evidence(better))
    assert found.outcome == "PASS" and found.metrics[0].name == metric and found.metrics[0].p_value < 0.01
    assert {item.name for item in found.metrics} == set(FORMULAS) - {"inverse_perplexity"}
    assert judge(gate, Evidence(worse)).outcome == "FAIL"
    swapped = text_difference(better, metric, "champion", "candidate")
    assert swapped.difference == -found.metrics[0].difference


def test_equal_answers_are_held_and_few_rows_are_not_enough() -> None:
    same = holdout(0.7, 0.7)
    same = dataclasses.replace(same, statistics=dict.fromkeys(same.statistics, same.statistics["candidate"]))
    found = judge(GATE, Evidence(same))
    assert found.outcome == "HOLD" and "has the champion's chrf on all" in found.reasons[0]
    few = judge(GATE, Evidence(holdout(0.8, 0.5, num_rows=60)))
    assert few.outcome == "NOT ENOUGH EVIDENCE" and "60 rows" in few.reasons[0]


def test_equally_good_models_seldom_differ() -> None:
    """One-sided 95 % lower bound above 0 in at most 10 of 100 draws where neither model is better."""
    rng = np.random.default_rng(5)
    base = holdout(0.5, 0.5, num_rows=80)
    false_alarms = 0
    for _ in range(100):
        swap = rng.random(80) < 0.5
        ours, theirs = (base.statistics[role]["chrf"] for role in ("candidate", "champion"))
        mixed = {
            "candidate": {"chrf": np.where(swap[:, None], theirs, ours)},
            "champion": {"chrf": np.where(swap[:, None], ours, theirs)},
        }
        spread = text_spread(dataclasses.replace(base, statistics=mixed), "chrf")
        false_alarms += spread.bound(0.05) > 0
    assert false_alarms <= 10


def test_the_spread_is_near_the_bootstrap() -> None:
    found = holdout(0.7, 0.6)
    seen, spread = text_difference(found, "chrf"), text_spread(found, "chrf")
    assert spread.bound(0.05) == pytest.approx(seen.lower, abs=0.01) and spread.bound(0.95) == pytest.approx(
        seen.upper, abs=0.01
    )


def test_rows_of_a_group_count_together() -> None:
    groups = Column.of([f"g{i // 10}" for i in range(400)])
    single, grouped = (
        text_difference(holdout(0.8, 0.5), "chrf"),
        text_difference(holdout(0.8, 0.5, groups=groups), "chrf"),
    )
    assert single.difference == grouped.difference and single.lower != grouped.lower


def test_a_slice_that_got_worse_blocks() -> None:
    targets, ours = texts(600, 0.9, 1)
    theirs = texts(600, 0.6, 2)[1]
    ours[:150], theirs[:150] = ["sorry"] * 150, targets[:150]
    column = Column.of(["phone"] * 150 + ["mail"] * 450)
    found = text_holdout(targets, {"candidate": Reply(ours), "champion": Reply(theirs)}, slices={"source": column})
    slices = compare_slices(found, GATE)
    assert {item.value: item.blocked for item in slices} == {"phone": True, "mail": False}
    assert slices[0].candidate < 0.3 and slices[0].champion == pytest.approx(1.0)
    assert judge(GATE, Evidence(found)).outcome == "FAIL"


def test_perplexities_of_other_tokens_are_not_compared() -> None:
    targets, ours = texts(300, 0.8, 1)
    nll, tokens = np.full(300, 12.0), np.full(300, 10.0)
    replies = {"candidate": Reply(ours, nll - 5, tokens), "champion": Reply(ours, nll + np.arange(300) % 3, tokens)}
    gate = GateSpec(metric="inverse_perplexity", floors={"inverse_perplexity": 0.1})
    assert judge(gate, Evidence(text_holdout(targets, replies))).outcome == "PASS"
    other = {**replies, "champion": Reply(ours, nll, tokens + 1)}
    found = judge(gate, Evidence(text_holdout(targets, other)))
    assert found.outcome == "HOLD" and "into other tokens" in found.reasons[0]
    assert "inverse_perplexity" not in {
        item.name for item in judge(GATE, Evidence(text_holdout(targets, other))).metrics
    }
    guarded = judge(
        GateSpec(metric="chrf", floors={}, guards={"inverse_perplexity": 0.1}), Evidence(text_holdout(targets, other))
    )
    assert guarded.outcome == "HOLD" and "Choose another guard" in guarded.reasons[0]
    silent = {**replies, "champion": Reply(ours)}
    assert (
        "inverse_perplexity of the champion is missing." in judge(gate, Evidence(text_holdout(targets, silent))).reasons
    )


def test_exact_answers_are_compared_as_accuracy_is() -> None:
    """One row won and none lost: no resample loses any, and the bootstrap would be certain."""
    targets = texts(200, 1.0, 1)[0]
    found = text_holdout(targets, {"candidate": Reply(targets), "champion": Reply(["no", *targets[1:]])})
    seen = text_difference(found, "exact_match")
    assert (seen.lower, seen.difference) == (pytest.approx(-0.0091, abs=1e-4), 0.005)
    assert "McNemar" in seen.method
    for metric in ("chrf", "rouge_l", "bleu"):
        assert text_difference(found, metric).lower < -0.003
    one = text_holdout(
        targets,
        {"candidate": Reply(targets), "champion": Reply(["no"] * 30 + targets[30:])},
        groups=Column.of(["g"] * 200),
    )
    for metric in ("exact_match", "chrf", "rouge_l"):
        assert text_difference(one, metric).lower <= -0.99


def test_a_gate_on_a_metric_of_another_task_holds() -> None:
    found = judge(GateSpec(), Evidence(holdout(0.8, 0.5)))
    assert found.outcome == "HOLD" and "'accuracy', which is not measured" in found.reasons[0]


def test_two_files_of_answers_can_be_compared(tmp_path: Path) -> None:
    targets, ours = texts(300, 0.9, 1)
    theirs = texts(300, 0.5, 2)[1]
    ours[0], theirs[1] = "", "nan"  # a silent answer is an answer
    for name, answers in {"candidate": ours, "champion": theirs}.items():
        rows = [
            {
                "id": str(i),
                "target": target,
                "prediction": answer,
                "nll": 5.0 if name == "candidate" else 9.5,
                "num_target_tokens": 10,
            }
            for i, (target, answer) in enumerate(zip(targets, answers, strict=True))
        ]
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    found = compare_files(tmp_path / "champion.jsonl", tmp_path / "candidate.jsonl", GATE)
    assert found["verdict"] == "PASS" and found["metrics"][0]["name"] == "chrf"
    assert {item["name"] for item in found["metrics"]} == set(FORMULAS)
