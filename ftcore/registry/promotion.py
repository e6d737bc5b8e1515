"""Promotion and rollback: the ledger decides, MLflow is shown the result.

    check evidence -> package -> PREPARED -> COMMITTED -> MLflow version, tag, alias, read back -> APPLIED

The head of the ledger moves at COMMITTED; from then on the new model is the champion, whatever happens to MLflow. A crash between
any two steps is finished by repeating the promotion or by `reconcile`.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ftcore.errors import IntegrityError, PromotionRefused, ServiceUnavailable, StaleChampion
from ftcore.ledger import GATE_DECISION, Ledger, promotion_id
from ftcore.records import Evaluation, PreparedDataset, Promotion, Record, Standing, TrainingRun, Verdict
from ftcore.registry import tracking, versions
from ftcore.registry.champions import champions
from ftcore.registry.package import build_package, verify_package
from ftcore.spec import FineTuneSpec
from ftcore.store import RECORD, Manifest, Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

_MAX_TRIES = 20  # more than there will ever be promotions of one spec at the same moment
EVIDENCE = "promotion_evidence"
"""Event that holds a whole verdict."""
STEPS = (
    "checked", "packaged", "fenced", "evidence", "prepared", "committed", "connected", "uploaded", "registered", "tagged",
    "aliased", "read_back", "applied",
)  # fmt: skip
"""Every step of a promotion, in order; `checkpoint` is called after each."""


def checkpoint(step: str) -> None:
    """Fault injection for tests: the process dies here, as by `kill -9`, if FTCORE_CRASH_AT names this step."""
    if os.environ.get("FTCORE_CRASH_AT") == step:
        os.kill(os.getpid(), signal.SIGKILL)


def promote(
    spec: FineTuneSpec,
    records: Mapping[str, Record],
    ledger: Ledger,
    store: Store,
    *,
    actor: str,
    approved_by: str | None = None,
    started_by: str | None = None,
    reason: str = "",
    standing: Standing | None = None,
) -> Promotion:
    """Make a candidate with a passing verdict the champion. Repeating it gives the same promotion.

    Args:
        records: Records of ingest, validate, prepare, train, evaluate and judge, by stage name.
        actor: Who promotes.
        approved_by: The person who said yes, for a spec with `approval.required`.
        started_by: Who started this run, where that is known; whoever started the run that first came to the verdict is in the
            ledger. Neither may approve (approval.four_eyes).
        reason: Why; default: the verdict's first reason.
        standing: What the ledger says now of rules, looks and what is compared; what has changed since the verdict is refused.

    Raises:
        PromotionRefused: The verdict is no PASS, records do not belong together (every fault is listed), or an approval is
            missing.
        StaleChampion: Another model became champion since the comparison.
        ServiceUnavailable: MLflow does not answer. Before COMMITTED nothing has changed; after it, repeat or reconcile.
    """
    verdict = _check_evidence(spec, records, store)
    checkpoint("checked")
    known = ledger.promotion(promotion_id(spec.name, verdict.candidate_digest, verdict.digest, verdict.champion_seq))
    if known is not None and known.state == "APPLIED":
        return known
    head = ledger.head(spec.name)
    if known is None and head is not None and head.model_digest == verdict.candidate_digest:
        return _as_promotion(ledger, head.promotion_id)  # champion already, on other evidence
    evaluation = records["evaluate"]
    assert isinstance(evaluation, Evaluation)
    if changes := list(_changed_since(verdict, evaluation, standing)):
        message = "What this candidate was judged by is not what it was:"
        raise PromotionRefused(message, details=changes, hint="ftcore run SPEC --from evaluate")
    judged_by = _judged_by(spec.name, verdict, ledger)
    if judged_by is None:
        raise PromotionRefused("The ledger has not counted this verdict.", hint="ftcore run SPEC --from judge")
    _check_approval(spec, approved_by, {judged_by, started_by})
    tracking.check_reachable()
    uri = build_package(spec, records, store)
    checkpoint("packaged")
    fence = ledger.issue_fence(spec.name)
    checkpoint("fenced")
    _record_evidence(spec, verdict, ledger, actor)
    checkpoint("evidence")
    prepared = ledger.prepare(
        spec=spec.name,
        model_digest=verdict.candidate_digest,
        verdict_digest=verdict.digest,
        expected_digest=verdict.champion_digest,
        expected_seq=verdict.champion_seq,
        package_uri=uri,
        fence=fence,
        actor=actor,
        reason=reason or (verdict.reasons[0] if verdict.reasons else verdict.outcome),
    )
    checkpoint("prepared")
    commit_or_abort(ledger, prepared.promotion_id, fence)
    checkpoint("committed")
    return apply(ledger, store, prepared.promotion_id)


def commit_or_abort(ledger: Ledger, identity: str, fence: int) -> Promotion:
    """Move the head; a promotion that was overtaken is marked ABORTED before StaleChampion goes on."""
    try:
        return ledger.commit(identity, fence)
    except StaleChampion as error:
        ledger.abort(identity, error.message)
        raise


def apply(ledger: Ledger, store: Store, identity: str) -> Promotion:
    """Show a committed promotion in MLflow: version, tag, alias, read back, then APPLIED. Safe to repeat.

    The alias always follows the ledger's head. MLflow has no compare-and-set, so the head is read again after writing, until both
    agree: whoever writes last has seen the newest head.

    Raises:
        ServiceUnavailable: MLflow does not answer; the promotion stays COMMITTED.
        IntegrityError: The package is damaged.
    """
    promotion = _as_promotion(ledger, identity)
    client = tracking.connect()
    checkpoint("connected")
    with tracking.mlflow_errors():
        package = store.resolve(promotion.package_uri)
        version = versions.ensure_version(client, promotion.spec, promotion.model_digest, package, checkpoint)
        follow_head(client, ledger, store, promotion.spec)
    checkpoint("read_back")
    applied = ledger.mark_applied(identity, version)
    checkpoint("applied")
    return applied


def follow_head(client: MlflowClient, ledger: Ledger, store: Store, spec: str) -> str | None:
    """Point the alias at the head's version until both agree. Returns that version, or None without a head.

    Raises:
        ServiceUnavailable: They still differ after `_MAX_TRIES` writes: something else keeps moving the alias.
    """
    for _ in range(_MAX_TRIES):
        head = ledger.head(spec)
        if head is None:
            return None
        package = store.resolve(head.package_uri)
        version = versions.ensure_version(client, spec, head.model_digest, package, lambda step: None)
        versions.set_champion(client, spec, version, head.promotion_id, checkpoint)
        shown = versions.shown_champion(client, spec)
        wanted = versions.Shown(version=version, model_digest=head.model_digest, promotion_id=head.promotion_id)
        if ledger.head(spec) == head and shown == wanted:
            return version
    message = f"MLflow's alias {versions.ALIAS} of {spec} does not stay on the champion: it was set {_MAX_TRIES} times."
    raise ServiceUnavailable(message, hint="stop what else moves the alias, then `ftcore reconcile`")


def rollback(
    spec: str, ledger: Ledger, store: Store, *, actor: str, to: str | None = None, reason: str = ""
) -> Promotion:
    """Put an earlier champion back: a ledger event of its own. Works while MLflow is down; the alias follows then later.

    Args:
        spec: Name of the spec.
        to: Model digest (or its beginning) of an earlier champion; default: the one before the current.

    Returns:
        The promotion; its state is COMMITTED instead of APPLIED when MLflow could not be told.

    Raises:
        PromotionRefused: There is no champion, or no such earlier one.
        StaleChampion: Somebody else changed the champion at the same time.
        IntegrityError: The earlier champion's package is damaged or gone.
    """
    head = ledger.head(spec)
    if head is None:
        raise PromotionRefused(f"{spec} has no champion yet, so there is nothing to roll back.", hint="ftcore status")
    target = _target(ledger, spec, head.model_digest, to)
    verify_package(store.resolve(target.package_uri))
    fence = ledger.issue_fence(spec)
    prepared = ledger.prepare(
        spec=spec,
        model_digest=target.model_digest,
        verdict_digest=target.verdict_digest,
        expected_digest=head.model_digest,
        expected_seq=head.seq,
        package_uri=target.package_uri,
        fence=fence,
        actor=actor,
        reason=reason or f"rollback from {head.model_digest[:12]}",
        intent="rollback",
    )
    committed = commit_or_abort(ledger, prepared.promotion_id, fence)
    checkpoint("committed")
    try:
        return apply(ledger, store, committed.promotion_id)
    except ServiceUnavailable:
        return committed


def _target(ledger: Ledger, spec: str, current: str, to: str | None) -> Promotion:
    """The champion to go back to. Without `to`: the one below the current on the stack."""
    if to is not None:
        found = {item.model_digest: item for item in ledger.history(spec) if item.model_digest.startswith(to)}
        if len(found) != 1:
            count = "no champion" if not found else f"{len(found)} champions"
            message = f"{count} of {spec} begins with {to!r}; wanted exactly one."
            raise PromotionRefused(message[0].upper() + message[1:], hint=f"ftcore champion history {spec}")
        [target] = found.values()
        if target.model_digest == current:
            raise PromotionRefused(f"{to} is the champion of {spec} already.", hint=f"ftcore champion history {spec}")
        return target
    stack = champions(ledger, spec).stack
    if len(stack) < 2:
        message = f"The champion of {spec} has no predecessor to go back to."
        raise PromotionRefused(
            message, hint=f"ftcore champion history {spec}; ftcore champion rollback {spec} --to DIGEST"
        )
    return stack[-2]


def _judged_by(spec_name: str, verdict: Verdict, ledger: Ledger) -> str | None:
    """Who started what led to the verdict."""
    decisions = ledger.events(spec_name, (GATE_DECISION,))
    return next((event.actor for event in decisions if event.payload["verdict"] == verdict.digest), None)


def _check_approval(spec: FineTuneSpec, approved_by: str | None, started_by: Collection[str | None]) -> None:
    if not spec.approval.required:
        return
    hint = f"ftcore champion promote SPEC, as {' or '.join(spec.approval.approvers) or 'the one who approves'}"
    if not approved_by:
        raise PromotionRefused(f"{spec.name} wants a person's approval, and nobody has given it.", hint=hint)
    if spec.approval.approvers and approved_by not in spec.approval.approvers:
        raise PromotionRefused(
            f"{approved_by} is not among the approvers of {spec.name} (approval.approvers).", hint=hint
        )
    if spec.approval.four_eyes and approved_by in started_by:
        message = f"{approved_by} started this run of {spec.name} and may not approve it too (approval.four_eyes)."
        raise PromotionRefused(message, hint="ask somebody else to answer, or to call: ftcore champion promote SPEC")


def _check_evidence(spec: FineTuneSpec, records: Mapping[str, Record], store: Store) -> Verdict:
    """That the verdict is what was stored, says PASS, and is about this candidate, holdout, champion and gate."""
    verdict, evaluation = records["judge"], records["evaluate"]
    training, prepared = records["train"], records["prepare"]
    assert isinstance(verdict, Verdict)
    assert isinstance(evaluation, Evaluation)
    assert isinstance(training, TrainingRun)
    assert isinstance(prepared, PreparedDataset)
    faults = [f"stage {name} was refused: {record.refused[0]}" for name, record in records.items() if record.refused]
    if verdict.outcome != "PASS":
        faults.append(f"the verdict is {verdict.outcome}, wanted PASS")
    pairs = {
        "model judged and model trained": (verdict.candidate_digest, training.model_digest),
        "model evaluated and model trained": (evaluation.candidate_digest, training.model_digest),
        "evaluation judged and evaluation given": (verdict.evaluation_digest, evaluation.digest),
        "champion judged and champion evaluated": (
            (verdict.champion_digest, verdict.champion_seq),
            (evaluation.champion_digest, evaluation.champion_seq),
        ),
        "holdout judged and holdout evaluated": (verdict.test_digest, evaluation.test_digest),
        "holdout evaluated and holdout prepared": (evaluation.test_digest, prepared.test_digest),
        "gate judged by and gate of the spec": (verdict.gate_digest, spec.gate_digest),
        "data trained on and data prepared": (training.data_digest, prepared.train_digest),
    }
    faults += [f"{what} differ" for what, (one, other) in pairs.items() if one != other]
    if not faults and _stored(store.resolve(verdict.uri)) != verdict.to_dict():
        faults.append(f"the verdict is not the one stored in {verdict.uri}")
    if faults:
        raise PromotionRefused("This candidate may not be promoted:", details=faults, hint="run the pipeline again")
    return verdict


def _changed_since(verdict: Verdict, evaluation: Evaluation, standing: Standing | None) -> Iterator[str]:
    """What the ledger says now that it did not say when the verdict was reached."""
    if standing is None:
        return
    if standing.rule_changes:
        yield f"the gate is not the one on record ({'; '.join(standing.rule_changes)})"
    if standing.rules_digest != verdict.rules_digest:
        yield "files that the rules of the gate name have changed since it was judged by them"
    if standing.compared_digest != evaluation.compared_digest:
        yield "files or settings that the evaluation was made by have changed"
    if standing.look != verdict.look:
        yield f"other answers of this holdout were counted meanwhile: judged as look {verdict.look}, this is {standing.look}"


def _stored(folder: Path) -> object:
    Manifest.read(folder).verify(folder)
    return json.loads((folder / RECORD).read_text(encoding="utf-8"))


def _record_evidence(spec: FineTuneSpec, verdict: Verdict, ledger: Ledger, actor: str) -> None:
    """Put the whole verdict into the chain once, so that the evidence outlives the store."""
    if any(event.payload["digest"] == verdict.digest for event in ledger.events(spec.name, kinds=(EVIDENCE,))):
        return
    ledger.append(EVIDENCE, spec.name, {"digest": verdict.digest, "verdict": verdict.to_dict()}, actor)


def _as_promotion(ledger: Ledger, identity: str) -> Promotion:
    found = ledger.promotion(identity)
    if found is None:
        raise IntegrityError(
            f"The ledger names promotion {identity[:12]} but does not hold it.", hint="ftcore audit verify"
        )
    return found
