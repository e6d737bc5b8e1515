"""judge: PASS, FAIL or NOT ENOUGH EVIDENCE. Anything but PASS is a refusal: the champion stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, Evaluation, Record, Verdict, Withdrawal, canonical_json, digest_of
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store, write_durable


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> Verdict:
    """Writes verdict.json and verdict.md. Faulty evidence, or a model that was rolled back, is a FAIL with its reasons."""
    from ftcore.evaluation.gate.evidence import gather_evidence
    from ftcore.evaluation.gate.judge import judge
    from ftcore.evaluation.gate.verdict import verdict_json, verdict_markdown

    evaluation = cast(Evaluation, inputs["evaluate"])
    withdrawal = cast(Withdrawal | None, inputs.get("withdrawal"))
    folder = store.resolve(evaluation.uri)
    tables = folder / "tables.json"
    slices = json.loads(tables.read_text(encoding="utf-8"))["slices"] if tables.is_file() else []
    generates = spec.task != "classification"
    evidence = gather_evidence(evaluation, folder, tuple(slices), withdrawal, generates=generates)
    judgement = judge(spec.gate, evidence)
    verdict = verdict_json(judgement, evaluation, spec.gate)
    write_durable(output.path / "verdict.json", canonical_json(verdict))
    write_durable(output.path / "verdict.md", verdict_markdown(spec.name, verdict))
    return Verdict(
        uri=output.uri,
        outcome=judgement.outcome,
        reasons=judgement.reasons,
        metrics=judgement.metrics,
        candidate_digest=evaluation.candidate_digest,
        champion_digest=evaluation.champion_digest,
        champion_seq=evaluation.champion_seq,
        evaluation_digest=evaluation.digest,
        gate_digest=digest_of(spec.gate.model_dump(mode="json")),
        test_digest=evaluation.test_digest,
        refused=() if judgement.outcome == "PASS" else judgement.reasons,
    )
