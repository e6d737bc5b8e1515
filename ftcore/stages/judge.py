"""judge: PASS, FAIL, NOT ENOUGH EVIDENCE or HOLD. Anything but PASS is a refusal: the champion stays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, Evaluation, PreparedDataset, Record, Standing, Verdict, Withdrawal, canonical_json
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store, write_durable


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> Verdict:
    """Writes verdict.json and verdict.md, and beside them the error report (analysis.json, report.html).

    Faulty evidence, or a model that was rolled back, is a HOLD with its reasons. Nothing in the report changes a verdict.
    """
    from ftcore.evaluation.analysis.files import write_analysis
    from ftcore.evaluation.gate.evidence import gather_evidence, with_standing
    from ftcore.evaluation.gate.judge import judge
    from ftcore.evaluation.gate.verdict import verdict_json, verdict_markdown
    from ftcore.evaluation.llm_judge.telling import markdown

    evaluation = cast(Evaluation, inputs["evaluate"])
    withdrawal = cast(Withdrawal | None, inputs.get("withdrawal"))
    standing = cast(Standing, inputs["standing"])
    folder = store.resolve(evaluation.uri)
    tables = folder / "tables.json"
    told = json.loads(tables.read_text(encoding="utf-8")) if tables.is_file() else {"slices": []}
    generates = spec.task != "classification"
    evidence = gather_evidence(evaluation, folder, tuple(told["slices"]), withdrawal, generates=generates)
    evidence = with_standing(evidence, standing, evaluation, spec)
    judgement = judge(spec.gate, evidence)
    few_shot = told.get("models", {}).get("few_shot", {}).get("few_shot")
    verdict = verdict_json(judgement, evaluation, spec.gate, standing.look, evidence.probes, few_shot, evidence.costs)
    write_durable(output.path / "verdict.json", canonical_json(verdict))
    write_durable(output.path / "verdict.md", verdict_markdown(spec.name, verdict) + markdown(folder))
    prepared = cast(PreparedDataset | None, inputs.get("prepare"))
    write_analysis(output.path, spec, verdict, folder, store.resolve(prepared.uri) if prepared else None)
    return Verdict(
        uri=output.uri,
        outcome=judgement.outcome,
        reasons=judgement.reasons,
        metrics=judgement.metrics,
        candidate_digest=evaluation.candidate_digest,
        champion_digest=evaluation.champion_digest,
        champion_seq=evaluation.champion_seq,
        evaluation_digest=evaluation.digest,
        gate_digest=spec.gate_digest,
        rules_digest=standing.rules_digest,
        test_digest=evaluation.test_digest,
        look=standing.look,
        looked=judgement.looked,
        refused=() if judgement.outcome == "PASS" else judgement.reasons,
    )
