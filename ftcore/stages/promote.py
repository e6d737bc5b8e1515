"""promote: the candidate becomes the champion, if the evidence says so and the champion is still the one it was compared with."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping

from ftcore.errors import PromotionRefused
from ftcore.records import DataRef, Promotion, Record, Standing, Verdict
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> Promotion:
    """Promote; a refusal (no PASS, overtaken, not approved) is a record with its reasons, and the champion stays.

    Raises:
        ServiceUnavailable: MLflow does not answer; running the stage again finishes it.
    """
    from ftcore.ledger import open_ledger
    from ftcore.registry.promotion import promote

    standing = inputs.get("standing")
    assert standing is None or isinstance(standing, Standing)
    records = {name: record for name, record in inputs.items() if isinstance(record, Record) and record is not standing}
    with open_ledger() as ledger:
        try:
            return promote(
                spec, records, ledger, store, actor=actor(), approved_by=os.environ.get("FTCORE_APPROVED_BY"),
                started_by=os.environ.get("FTCORE_STARTED_BY"), standing=standing,
            )  # fmt: skip
        except PromotionRefused as refusal:
            verdict, head = records["judge"], ledger.head(spec.name)
            assert isinstance(verdict, Verdict)
            return Promotion(
                refused=(refusal.message, *refusal.details),
                spec=spec.name,
                promotion_id="",
                model_digest=verdict.candidate_digest,
                previous_digest=head.model_digest if head is not None else None,
                verdict_digest=verdict.digest,
                seq=head.seq if head is not None else 0,
                state="ABORTED",
                package_uri="",
            )


def actor() -> str:
    """Who acts: `$FTCORE_ACTOR` (Airflow sets it to the approver), else the user's name."""
    return os.environ.get("FTCORE_ACTOR") or getpass.getuser()
