from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from ftcore.evaluation.gate.looks import sketch_of
from ftcore.evaluation.gate.rules import rules_digest
from ftcore.ledger import GATE_DECISION, HOLDOUT_SCORED, Ledger
from ftcore.pipeline.decisions import record_decision, record_scored, standing
from ftcore.pipeline.rules import record_rules
from ftcore.records import Evaluation, Metric, Scored, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def spec_of(**sections: object) -> FineTuneSpec:
    return FineTuneSpec.model_validate({"name": "tiny", "base_model": {"name": "none"}, **sections})


SPEC = spec_of()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")


METRIC = Metric(name="accuracy", value=0.9, n=400, ci_low=0.87, ci_high=0.93)


def evaluated(store: Store, candidate: str, rows: range, champion: str | None = None) -> Evaluation:
    uri = f"evaluated-{candidate}-{champion}-{rows.start}"
    (store.root / uri).mkdir(parents=True, exist_ok=True)
    sketch = sketch_of(hashlib.sha256(str(number).encode()).hexdigest() for number in rows)
    (store.root / uri / "holdout.json").write_text(json.dumps({"rows": sketch}))
    return Evaluation(
        uri=uri, test_digest=f"{rows.start}", num_rows=len(rows), candidate_digest=candidate, champion_digest=champion,
        models=(Scored(role="candidate", model_digest=candidate, metrics=(METRIC,)),), champion_seq=0,
    )  # fmt: skip


def decide(
    ledger: Ledger,
    store: Store,
    candidate: str,
    rows: range = range(800),
    looked: bool = True,
    spec: FineTuneSpec = SPEC,
    champion: str | None = None,
) -> int:
    """Score and judge a candidate; which look it was."""
    evaluation = evaluated(store, candidate, rows, champion)
    for _ in range(2):
        record_scored(spec.name, evaluation, ledger, store, "ada")
    found = standing(spec, ledger, store, evaluation)
    verdict = Verdict(
        uri=f"v-{candidate}-{rows.start}", outcome="FAIL", reasons=("no",), metrics=(), candidate_digest=candidate,
        champion_digest=champion, champion_seq=0, evaluation_digest=evaluation.digest, gate_digest=spec.gate_digest,
        rules_digest=rules_digest(spec), test_digest=evaluation.test_digest, look=found.look, looked=looked,
    )  # fmt: skip
    for _ in range(2):
        record_decision(spec.name, verdict, evaluation, ledger, store, "ada")
    return found.look


def test_every_candidate_decided_on_is_a_look_at_the_rows(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert [decide(ledger, store, name) for name in "abc"] == [1, 2, 3]
    for kind in (GATE_DECISION, HOLDOUT_SCORED):
        assert len(ledger.events("tiny", (kind,))) == 3  # each was recorded twice
    again = evaluated(Store(tmp_path / "other"), "b", range(800))
    assert (
        standing(SPEC, ledger, Store(tmp_path / "other"), again).look == 2
    )  # as the first time: nothing new is learned


def test_an_earlier_decision_counts_by_the_share_of_the_rows_that_it_saw(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for name in "abcdef":
        decide(ledger, store, name)
    assert decide(ledger, store, "g", range(400, 1200)) == 4  # six halves
    assert decide(ledger, store, "h", range(800, 1600)) == 2  # the first six saw none of them, the seventh half of them
    assert decide(ledger, store, "i", range(5000, 5800)) == 1


def test_the_same_candidate_on_other_rows_is_a_look_like_any(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert [decide(ledger, store, "a", range(start, start + 800)) for start in (0, 40)] == [1, 2]


def test_another_name_for_the_pipeline_makes_no_row_fresh(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert decide(ledger, store, "a") == 1
    renamed = FineTuneSpec.model_validate({"name": "renamed", "base_model": {"name": "none"}})
    assert decide(ledger, store, "b", spec=renamed) == 2


def test_whose_scores_were_made_is_a_look_without_a_verdict_too(ledger: Ledger, tmp_path: Path) -> None:
    """Of fifty candidates the best could be picked from the files, and judged as the first."""
    store = Store(tmp_path / "store")
    assert decide(ledger, store, "a", looked=False) == 1
    assert not ledger.events("tiny", (GATE_DECISION,))
    assert decide(ledger, store, "b") == 2
    nothing_scored = replace(evaluated(store, "c", range(800)), models=())
    record_scored("tiny", nothing_scored, ledger, store, "ada")
    assert decide(ledger, store, "d") == 3


def test_the_same_candidate_under_other_rules_or_against_another_champion_is_a_look(
    ledger: Ledger, tmp_path: Path
) -> None:
    store, loose = Store(tmp_path / "store"), spec_of(gate={"margin": 0.2})
    assert decide(ledger, store, "a") == 1
    assert decide(ledger, store, "a", spec=loose) == 2
    assert decide(ledger, store, "a", champion="other") == 3
    again = evaluated(store, "a", range(800))
    assert [standing(spec, ledger, store, again).look for spec in (SPEC, loose)] == [1, 2]  # as the first time


def test_other_rows_that_must_pass_are_other_rules(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same spec, same path: whoever edits the file and judges again has looked again."""
    store = Store(tmp_path / "store")
    spec = spec_of(evaluation={"must_pass": "pinned.jsonl"}, gate={"margin": 0.2})
    looks = []
    for content in ("one", "two", "one"):
        monkeypatch.setattr(
            "ftcore.evaluation.gate.rules.file_identity", lambda _, name, told=content: f"{name} {told}"
        )
        looks.append(decide(ledger, store, "a", spec=spec))
    assert looks == [1, 2, 1]  # the third is the first again


def test_the_standing_names_champion_and_changes_of_the_rules(ledger: Ledger, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    evaluation = evaluated(store, "a", range(300))
    found = standing(SPEC, ledger, store, evaluation)
    assert (found.look, found.champion_digest, found.champion_seq) == (1, None, 0)
    assert found.rule_changes == ("none are on record under this name",) and len(found.compared_digest) == 64
    record_rules(SPEC, ledger, "ada")
    assert standing(SPEC, ledger, store, evaluation).rule_changes == ()
    changed = standing(spec_of(gate={"margin": 0.05}), ledger, store, evaluation)
    assert changed.rule_changes == ("gate.margin: 0.005 -> 0.05",)
