"""The question to a person, between a verdict and a promotion."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import conf
from airflow.sdk.exceptions import AirflowFailException

from ftcore.airflow.context import Context, base_url, pull, skip_unless_passed, starter_of
from ftcore.spec import FineTuneSpec


class ApproveOperator(ApprovalOperator):  # type: ignore[misc]
    """Asks a person, with the verdict's evidence. Reject, or no answer in time, holds: promote is skipped.

    Airflow fails an unanswered request unless it has defaults; with `defaults="Reject"` the scheduler answers for it. It turns
    away everybody but the assigned users where their ids are their names, as in its simple auth manager; `promote` checks the
    name of whoever answered in any case.
    """

    def __init__(self, *, spec: FineTuneSpec, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Promote the new {spec.name} model?",
            body="The evidence is put in when the verdict is known.",
            defaults=self.REJECT,
            response_timeout=timedelta(hours=spec.approval.timeout_hours),
            assigned_users=_users(spec.approval.approvers),
            **kwargs,
        )
        self.spec = spec

    def execute(self, context: Context) -> Any:
        from ftcore.stack.runs import Asked, evidence, may_answer
        from ftcore.store import Store

        verdict, plan = pull(context, "judge"), pull(context, "plan")
        skip_unless_passed(verdict)
        approval, starter = self.spec.approval, starter_of(context)
        approvers = may_answer(approval, starter)
        if approval.approvers and not approvers:
            reason = (
                f"{starter} started this run and is its only approver (approval.approvers, approval.four_eyes): nobody may "
                "approve it. Name another approver, or let somebody else start the run."
            )
            context["ti"].xcom_push(key="refused", value=[reason])
            raise AirflowFailException(reason)
        self.assigned_users = _users(approvers)
        files = f"{base_url()}/ftcore/files"
        cause = f"{plan['cause']}: {plan['reason']}"
        asked = Asked(starter, cause, approvers, approval.four_eyes, approval.timeout_hours, files)
        self.body = evidence({**verdict, "spec": self.spec.name}, asked, Store())
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Runs when the answer is there. Reject ends in an exception, so what it returns never reaches XCom: push it first."""
        user = event.get("responded_by_user") or {}
        context["ti"].xcom_push(key="answer", value={"chosen": event.get("chosen_options"), "by": user.get("name")})
        return super().execute_complete(context, event)


def _users(names: Sequence[str]) -> list[dict[str, str]] | None:
    """As Airflow wants assigned users; None, which is everybody, where their ids are not their names: numbers in FAB."""
    has_names_as_ids = conf.get("core", "auth_manager", fallback="").endswith("SimpleAuthManager")
    return [{"id": name, "name": name} for name in names] if names and has_names_as_ids else None
