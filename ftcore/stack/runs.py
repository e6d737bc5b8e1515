"""What a scheduled run decides outside its stages: which data, for what cause, and what becomes of the retrain request.

A retrain request is closed by what a run found out about it, never by a crash: an open, ready request is announced again
by the reconcile sweep until a run has answered it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ftcore.evaluation.markdown import escape
from ftcore.ledger import Ledger
from ftcore.pipeline import data_ref
from ftcore.records import RetrainRequest
from ftcore.spec import ApprovalSpec, FineTuneSpec
from ftcore.stages import ORDER
from ftcore.store import Store

Cause = Literal["retrain request", "schedule", "manual"]
Outcome = Literal["promoted", "kept", "held", "refused", "crashed"]
_MAX_SLICES = 10


@dataclass(frozen=True)
class Plan:
    """Fixed at the start of a run, so that nothing moves under it."""

    spec: str
    spec_digest: str
    cause: Cause
    reason: str
    request_id: str | None
    """The retrain request this run answers."""
    data: Mapping[str, Any]
    """A DataRef as plain JSON."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Ending:
    """What a run came to."""

    outcome: Outcome
    reasons: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {"outcome": self.outcome, "reasons": list(self.reasons)}


def ready_request(spec_name: str, ledger: Ledger) -> RetrainRequest | None:
    """The open retrain request whose labelled data has become a version: only then may retraining start."""
    request = ledger.request(spec_name)
    return request if request is not None and request.data is not None else None


def plan_run(
    spec: FineTuneSpec, ledger: Ledger, *, run_type: str, run: Mapping[str, str], rev: str | None = None
) -> Plan | None:
    """Decide what a run works on and note its start in the ledger.

    Args:
        spec: The spec as it is now.
        ledger: Open ledger.
        run_type: Airflow's: `asset_triggered`, `scheduled`, `manual`.
        run: Where to find the run: `dag_id`, `run_id`, `url`.
        rev: Revision of the spec's data repository asked for by hand; such a run answers no request.

    Returns:
        None when an asset event started the run but no request is ready: another run has answered it already.
    """
    request = None if rev else ready_request(spec.name, ledger)
    if request is None and run_type == "asset_triggered":
        return None
    cause: Cause = "retrain request" if request else "schedule" if run_type == "scheduled" else "manual"
    reason = request.reason if request else f"data revision {rev} asked for" if rev else f"{cause} run"
    data = request.data if request and request.data else data_ref(spec, ledger, rev)
    request_id = request.request_id if request else None
    plan = Plan(spec.name, spec.digest, cause, reason, request_id, asdict(data))
    ledger.append(
        "run_started", spec.name, {**run, "cause": cause, "reason": reason, "request_id": request_id}, "airflow"
    )
    return plan


def finish_run(
    ledger: Ledger,
    plan: Mapping[str, Any],
    records: Mapping[str, Mapping[str, Any] | None],
    refusals: Mapping[str, list[str]],
    approval: Mapping[str, Any] | None,
    run: Mapping[str, str],
) -> Ending:
    """Say what a run came to, note it in the ledger and close the request it answered, if it has an answer.

    Args:
        ledger: Open ledger.
        plan: As `Plan.to_dict` gave it.
        records: Record of each stage that the run has; None where the stage has left none.
        refusals: Reasons by stage that refused.
        approval: `chosen` options and `by` whom (None: nobody, the time ran out); None when nobody was asked.
        run: `dag_id`, `run_id`, `url`.
    """
    ending = _ending(records, refusals, approval)
    payload = {**run, **ending.to_dict(), "request_id": plan["request_id"], "links": _links(records)}
    if (verdict := records.get("judge")) is not None:
        payload["verdict"] = {"outcome": verdict["outcome"], "reasons": list(verdict["reasons"])}
    ledger.append("run_finished", plan["spec"], payload, "airflow")
    request_id = plan["request_id"]
    if request_id is not None and _answers(ending, refusals):
        state, why = "DONE" if ending.outcome == "promoted" else "CLOSED", "; ".join(ending.reasons)
        ledger.close_request(request_id, state, f"{ending.outcome}: {why}", "airflow")
        if ending.outcome in ("kept", "held"):  # nothing failed, and yet production is as it was when the alarm went
            title = f"{plan['spec']}: retraining did not replace the champion ({ending.outcome})"
            ledger.enqueue_alert(plan["spec"], "warning", title, why, f"answer/{request_id}", {"Airflow": run["url"]})
    return ending


@dataclass(frozen=True)
class Asked:
    """Who is asked for an approval, and what about."""

    starter: str
    """Who started the run: a user, or the DAG that Airflow's scheduler started."""
    cause: str
    """Why it was started."""
    approvers: tuple[str, ...]
    """Users who may answer; empty: anybody who may run the DAG."""
    four_eyes: bool
    timeout_hours: float
    files_url: str
    """Where report files of the store are shown."""


def may_answer(approval: ApprovalSpec, starter: str) -> tuple[str, ...]:
    """The named approvers without the one who started the run, who may not approve it (approval.four_eyes)."""
    return tuple(name for name in approval.approvers if not approval.four_eyes or name != starter)


def evidence(verdict: Mapping[str, Any], asked: Asked, store: Store) -> str:
    """Markdown for the person who decides: verdict, reasons, scores, differences, slices, where to read more.

    Reasons, labels and names come from data and users, so they are escaped.
    """
    from ftcore.evaluation.gate.verdict import judged_slices, scores_and_differences

    folder, short = verdict["uri"], verdict["candidate_digest"][:12]
    file = store.resolve(folder) / "verdict.json"
    champion = f"champion `{verdict['champion_digest'][:12]}`" if verdict["champion_digest"] else "no champion yet"
    lines = [
        f"**{verdict['outcome']}**: candidate `{short}`, {champion}",
        "",
        *(f"- {line}" for line in _asked(asked)),
        "",
        "## Why",
        "",
        *(f"- {escape(reason)}" for reason in verdict["reasons"]),
        "",
    ]
    if file.is_file():
        told = json.loads(file.read_text(encoding="utf-8"))
        lines += [*scores_and_differences(told), ""]
        if told["slices"]:
            lines += [*judged_slices(told, _MAX_SLICES), ""]
    else:
        lines += [f"The scores are missing: no file {escape(str(file))}. Reject, and run the pipeline again.", ""]
    lines += [
        "## Read more",
        "",
        f"[error report]({asked.files_url}/{folder}/report.html), [verdict]({asked.files_url}/{folder}/verdict.md); "
        f"on a machine that has the store: `ftcore report {verdict['spec']} --model {short}`",
    ]
    return "\n".join(lines)


def _asked(asked: Asked) -> Iterator[str]:
    yield f"Started by {escape(asked.starter)} ({escape(asked.cause)})"
    if asked.four_eyes and "/" not in asked.starter:
        yield f"{escape(asked.starter)} may not approve: it takes somebody else (`approval.four_eyes`)"
    if asked.approvers:
        yield f"Approvers: {', '.join(map(escape, asked.approvers))}; anybody else's answer promotes nothing"
    yield f"Reject, or no answer within {asked.timeout_hours:g} hours: the champion stays"


def _ending(
    records: Mapping[str, Mapping[str, Any] | None],
    refusals: Mapping[str, list[str]],
    approval: Mapping[str, Any] | None,
) -> Ending:
    promotion, verdict = records.get("promote"), records.get("judge")
    if promotion is not None:
        return Ending("promoted", (f"model {str(promotion['model_digest'])[:12]} is champion",))
    for stage in ORDER:
        if stage in refusals:
            return Ending("refused", (f"{stage} refused", *refusals[stage]))
    if verdict is not None and verdict["outcome"] != "PASS":
        held = verdict["outcome"] == "HOLD"  # nothing is said about the candidate: a person should look
        return Ending("held" if held else "kept", (f"verdict {verdict['outcome']}", *verdict["reasons"]))
    if approval is not None and approval["chosen"] != ["Approve"]:
        who = approval["by"]
        return Ending("held", (f"rejected by {who}" if who else "nobody approved in time",))
    stopped = next((stage for stage in ORDER if stage in records and records[stage] is None), "finish")
    return Ending("crashed", (f"{stopped} did not finish",))


def _links(records: Mapping[str, Mapping[str, Any] | None]) -> dict[str, str]:
    """Reports of this run, as paths in the store."""
    validation, verdict = records.get("validate") or {}, records.get("judge") or {}
    links = {
        "Data Docs": validation.get("docs_uri"),
        "Verdict": f"{verdict['uri']}/verdict.md" if verdict.get("uri") else None,
        "Error report": f"{verdict['uri']}/report.html" if verdict.get("uri") else None,
    }
    return {name: uri for name, uri in links.items() if uri}


def _answers(ending: Ending, refusals: Mapping[str, list[str]]) -> bool:
    """A crash says nothing about the request; nor does a promotion lost to another one: compare again."""
    return ending.outcome != "crashed" and not (ending.outcome == "refused" and "promote" in refusals)
