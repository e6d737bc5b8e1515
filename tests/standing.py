"""What a stage `judge` is given when nothing has changed since the evaluation."""

from __future__ import annotations

from typing import Any

from ftcore.evaluation.gate.rules import rules_digest
from ftcore.records import Evaluation, Standing
from ftcore.spec import FineTuneSpec


def given_to_judge(spec: FineTuneSpec, evaluation: Evaluation, **change: Any) -> dict[str, Any]:
    """Inputs of the stage; `change` fields of the standing."""
    said = {"look": 1, "rule_changes": (), "champion_digest": evaluation.champion_digest,
            "compared_digest": evaluation.compared_digest, "rules_digest": rules_digest(spec)}  # fmt: skip
    standing = Standing(**said | {"champion_seq": evaluation.champion_seq} | change)
    return {"evaluate": evaluation, "standing": standing}
