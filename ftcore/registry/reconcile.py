"""Finish what a crash left and make MLflow agree with the ledger. It looks at what is, so it may run at any time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ftcore.errors import FtcoreError, IntegrityError, PromotionRefused, ServiceUnavailable
from ftcore.ledger import Head, Ledger
from ftcore.records import Promotion
from ftcore.registry import tracking, versions
from ftcore.registry.leftovers import end_ghost_runs, remove_leftovers
from ftcore.registry.package import verify_package
from ftcore.registry.promotion import apply, commit_or_abort, follow_head
from ftcore.store import Store

if TYPE_CHECKING:
    from mlflow import MlflowClient

REPAIRED = "alias_repaired"


def reconcile(ledger: Ledger, store: Store, *, actor: str) -> list[str]:
    """Bring every spec to rest: promotions finished or aborted, MLflow's alias on the head, leftovers of killed processes gone.

    A PREPARED promotion has passed every check, so it is finished, not thrown away; it is aborted only if its package is
    damaged or the champion has changed. This cannot hurt a promotion still running: committing twice is committing once.
    What cannot be done for one spec does not keep the others waiting.

    Returns:
        One line per thing done; empty when all was well.

    Raises:
        ServiceUnavailable: MLflow does not answer. What the ledger alone could settle is settled then.
        FtcoreError: Something could not be done; each is named, and all else is done.
    """
    sweep = _Sweep()
    for item in ledger.unfinished():
        if item.state == "PREPARED":
            with sweep.trying(f"promotion {item.promotion_id[:12]} of {item.spec}"):
                sweep.done.append(_settle(ledger, store, item))
    with sweep.trying("leftovers"):
        sweep.done += remove_leftovers(store)
    with sweep.trying("MLflow"):
        _show_in_mlflow(sweep, ledger, store, actor)
    sweep.raise_for_faults()
    return sweep.done


class _Sweep:
    """What was done, and what could not be."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self._faults: list[tuple[str, FtcoreError]] = []

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """Note an error of the tree under the name `what` instead of passing it on."""
        try:
            yield
        except FtcoreError as error:
            self._faults.append((what, error))

    def raise_for_faults(self) -> None:
        if not self._faults:
            return
        details = [f"{what}: {error.message}" for what, error in self._faults]
        kind = ServiceUnavailable if all(error.transient for _, error in self._faults) else FtcoreError
        raise kind(
            "The sweep could not do everything:",
            details=[*details, *(f"done: {line}" for line in self.done)],
            hint=self._faults[0][1].hint,
        )


def _show_in_mlflow(sweep: _Sweep, ledger: Ledger, store: Store, actor: str) -> None:
    waiting = [item for item in ledger.unfinished() if item.state == "COMMITTED"]
    if not waiting and not ledger.heads() and not tracking.is_set_up():
        return
    client = tracking.connect()
    for item in waiting:
        with sweep.trying(f"promotion {item.promotion_id[:12]} of {item.spec}"):
            applied = apply(ledger, store, item.promotion_id)
            line = f"{item.spec}: applied {item.model_digest[:12]} to MLflow as version {applied.mlflow_version}"
            sweep.done.append(line)
    for head in ledger.heads():
        with sweep.trying(f"alias of {head.spec}"):
            sweep.done += _repair_alias(client, ledger, store, head, actor)
    with sweep.trying("open runs"), tracking.mlflow_errors():
        sweep.done += end_ghost_runs(client)


def _settle(ledger: Ledger, store: Store, item: Promotion) -> str:
    what = f"{item.spec}: promotion {item.promotion_id[:12]} of {item.model_digest[:12]}"
    try:
        verify_package(store.resolve(item.package_uri))
        commit_or_abort(ledger, item.promotion_id, ledger.issue_fence(item.spec))
    except IntegrityError as error:
        ledger.abort(item.promotion_id, f"package damaged: {error.message}")
        return f"{what} aborted: its package is damaged"
    except PromotionRefused as error:
        return f"{what} aborted: {error.message}"
    return f"{what} committed"


def _repair_alias(client: MlflowClient, ledger: Ledger, store: Store, head: Head, actor: str) -> list[str]:
    """Compare MLflow's alias with the head; raise an alert and put it right if somebody moved it."""
    with tracking.mlflow_errors():
        shown = versions.shown_champion(client, head.spec)
        if shown is not None and (shown.model_digest, shown.promotion_id) == (head.model_digest, head.promotion_id):
            return []
        promotion = ledger.promotion(head.promotion_id)
        if ledger.head(head.spec) != head or promotion is None or promotion.state != "APPLIED":
            return []  # a promotion is moving it right now
        seen = f"version {shown.version}" if shown is not None else "nothing"
        repairs = len(ledger.events(head.spec, kinds=(REPAIRED,)))
        ledger.enqueue_alert(  # before the repair: a crash in between must not hide it
            head.spec,
            "critical",
            f"{head.spec}: alias changed outside ftcore",
            f"MLflow's alias {versions.ALIAS} of {head.spec} was on {seen}; the ledger's champion is {head.model_digest[:12]} "
            f"(version {promotion.mlflow_version}). It was put back.",
            f"alias:{head.spec}:{head.seq}:{seen}:{repairs}",
        )
        version = follow_head(client, ledger, store, head.spec)
    ledger.append(REPAIRED, head.spec, {"seen": seen, "version": version, "model_digest": head.model_digest}, actor)
    return [f"{head.spec}: MLflow's alias was on {seen}; put back on version {version}"]
