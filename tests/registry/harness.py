"""Kill promotions, race them, and check what is left. Shared by the tests and by benchmarks/promotion.py.

Everything runs in forked children of a process that has imported MLflow but never opened a database, so that an attempt costs
a fraction of a second and still dies for real (SIGKILL).
"""

from __future__ import annotations

import os
import pickle
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mlflow  # noqa: F401  (imported before the forks, never used here)
import sqlalchemy as sa

from ftcore.errors import FtcoreError
from ftcore.ledger import Ledger, open_ledger
from ftcore.records import Promotion, Record
from ftcore.registry import tracking, versions
from ftcore.registry.package import verify_package
from ftcore.registry.promotion import promote
from ftcore.registry.reconcile import reconcile
from ftcore.store import Store
from tests.registry.candidates import candidate, tiny_spec

SPEC = tiny_spec()


def start_child(work: Callable[[], Any]) -> tuple[int, Any]:
    """Fork and run `work`. Returns the child's id and the pipe its pickled outcome comes through."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child:
        os.close(write_end)
        return child, os.fdopen(read_end, "rb")
    try:
        os.close(read_end)
        try:
            outcome = work()
        except FtcoreError as error:
            outcome = Failed(type(error).__name__, str(error))
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(outcome, pipe)
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(70)


def end_child(child: int, pipe: Any) -> tuple[int, Any]:
    """Wait. Returns the signal that ended the child (0: none) and its outcome."""
    with pipe:
        data = pipe.read()
    status = os.waitpid(child, 0)[1]
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the child crashed by itself; its traceback is above")
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0, pickle.loads(data) if data else None


def in_child(work: Callable[[], Any], kill_after_s: float | None = None) -> tuple[int, Any]:
    """Run `work` in a fork, killing it after a while if asked."""
    child, pipe = start_child(work)
    if kill_after_s is not None:
        time.sleep(kill_after_s)
        os.kill(child, signal.SIGKILL)  # not reaped yet, so the id is still the child's
    return end_child(child, pipe)


@dataclass(frozen=True)
class Failed:
    """An error of the tree, as a child reports it."""

    kind: str
    text: str


@dataclass(frozen=True)
class Scene:
    """A home at rest, kept aside, with a candidate that is about to be promoted."""

    home: Path
    pristine: Path
    records: dict[str, Record]
    champion: str | None

    def restore(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)
        shutil.copytree(self.pristine, self.home)


def make_scene(folder: Path, template: Path, *, with_champion: bool) -> Scene:
    """Set the scene under `folder`; FTCORE_HOME must be `folder / "home"`. `template` is a folder with an empty mlflow.db."""
    home = folder / "home"
    shutil.copytree(template, home / "mlflow")

    def build() -> tuple[dict[str, Record], str | None]:
        store = Store()
        with open_ledger() as ledger:
            champion = None
            if with_champion:
                champion = promote(SPEC, candidate(SPEC, store, ledger, 1), ledger, store, actor="first").model_digest
            return candidate(SPEC, store, ledger, 2), champion

    killed, outcome = in_child(build)
    assert not killed
    shutil.copytree(home, folder / "pristine")
    return Scene(home, folder / "pristine", *outcome)


def make_mlflow_template(folder: Path) -> Path:
    """A folder with an empty MLflow database: MLflow takes many seconds to make one."""
    previous = os.environ.get("MLFLOW_TRACKING_URI")
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder / 'mlflow.db'}"
    try:
        folder.mkdir(parents=True)
        assert in_child(lambda: tracking.connect().search_experiments() and None)[0] == 0
    finally:
        os.environ.pop("MLFLOW_TRACKING_URI")
        if previous is not None:
            os.environ["MLFLOW_TRACKING_URI"] = previous
    return folder


def promote_candidate(records: dict[str, Record]) -> Promotion:
    with open_ledger() as ledger:
        return promote(SPEC, records, ledger, Store(), actor="bench")


def count_writes(die_at: int = 0) -> list[int]:
    """Count this process's durable writes (fsync, rename, database commit), and die before the one numbered `die_at`."""
    count = [0]

    def tick() -> None:
        count[0] += 1
        if count[0] == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            tick()
            return function(*args, **kwargs)

        return call

    os.fsync, os.rename = counted(os.fsync), counted(os.rename)
    sa.event.listen(sa.Engine, "commit", lambda connection: tick())
    return count


def crash_points(scene: Scene, steps: tuple[str, ...], writes: int | None, randoms: int, seed: int) -> Iterator[str]:
    """Kill the promotion at each named step, before each durable write (None: all of them), at random instants; check each time.

    Yields:
        The name of each point survived.

    Raises:
        AssertionError: An invariant is broken after reconcile.
    """

    def attempt() -> Promotion:
        return promote_candidate(scene.records)

    for step in steps:

        def at_step(step: str = step) -> Promotion:
            os.environ["FTCORE_CRASH_AT"] = step
            return attempt()

        yield _survive(scene, f"step {step}", at_step)
    scene.restore()
    started = time.monotonic()
    killed, total = in_child(lambda: (count := count_writes(), attempt())[0][0])
    duration_s = time.monotonic() - started
    assert not killed
    assert total > 10
    chosen = range(1, total + 1) if writes is None else random.Random(seed).sample(range(1, total + 1), writes)
    for number in chosen:
        yield _survive(scene, f"write {number} of {total}", lambda number=number: (count_writes(number), attempt())[1])
    for instant in range(randoms):
        wait_s = random.Random(seed + instant).uniform(0, duration_s)
        yield _survive(scene, f"after {wait_s * 1000:.0f} ms", attempt, kill_after_s=wait_s, may_finish=True)


def _survive(
    scene: Scene, name: str, work: Callable[[], Any], kill_after_s: float | None = None, may_finish: bool = False
) -> str:
    scene.restore()
    killed, _ = in_child(work, kill_after_s)
    assert killed == signal.SIGKILL or may_finish, f"{name}: was never reached"
    killed, faults = in_child(lambda: check_recovery(scene))
    assert not killed
    assert not faults, f"{name}: {faults}"
    return name


def check_recovery(scene: Scene) -> list[str]:
    """What is wrong after `reconcile`; then the same promotion again must end as one promotion of the candidate."""
    store = Store()
    with open_ledger() as ledger:
        before = ledger.head(SPEC.name)
        reconcile(ledger, store, actor="bench")
        after = ledger.head(SPEC.name)
        faults = check_rest(ledger, store)
        if before is not None and before != after and before.model_digest != scene.champion:
            faults.append("a committed champion was lost")
        if reconcile(ledger, store, actor="bench"):
            faults.append("a second reconcile found work")
        if ledger.pending_alerts():
            faults.append("an alert about a change from outside, where there was none")
        again = promote(SPEC, scene.records, ledger, store, actor="bench")
        head = ledger.head(SPEC.name)
        if head is None or again.state != "APPLIED" or head.promotion_id != again.promotion_id:
            faults.append(f"repeating the promotion gave {again}")
        commits = list(ledger.events(kinds=("promotion_committed",)))
        if len(commits) != (2 if scene.champion else 1):
            faults.append(f"{len(commits)} commits")
        return faults + check_rest(ledger, store)


def check_rest(ledger: Ledger, store: Store) -> list[str]:
    """Invariants of a home at rest: the chain holds, nothing is unfinished, alias = head, all packages verify."""
    faults = list(ledger.verify().faults)
    faults += [f"unfinished: {item.state}" for item in ledger.unfinished()]
    head = ledger.head(SPEC.name)
    shown = versions.shown_champion(tracking.connect(), SPEC.name)
    seen = (shown.model_digest, shown.promotion_id) if shown is not None else None
    wanted = (head.model_digest, head.promotion_id) if head is not None else None
    if seen != wanted:
        faults.append(f"alias {seen} is not head {wanted}")
    packages = store.root / "packages"
    for path in packages.iterdir() if packages.is_dir() else ():
        verify_package(path)
    return faults


def race_round(seeds: range) -> list[Any]:
    """One process per seed promotes its own candidate, all judged against the same champion, all at the same moment.

    Returns:
        Per seed a Promotion, a Failed, or None for a process that a signal ended.
    """

    def build() -> list[dict[str, Record]]:
        with open_ledger() as ledger:
            return [candidate(SPEC, Store(), ledger, seed) for seed in seeds]

    killed, candidates = in_child(build)
    assert not killed
    gate_read, gate_write = os.pipe()

    def run(records: dict[str, Record]) -> Promotion:
        os.close(gate_write)
        os.read(gate_read, 1)  # returns when the parent closes its end
        return promote_candidate(records)

    children = [start_child(lambda records=records: run(records)) for records in candidates]
    os.close(gate_read)
    os.close(gate_write)
    return [end_child(*child)[1] for child in children]


def check_race(outcomes: list[Any]) -> list[str]:
    """One winner, the others refused as StaleChampion, and the home at rest."""
    winners = [outcome for outcome in outcomes if isinstance(outcome, Promotion)]
    if len(winners) != 1:
        return [f"{len(winners)} winners"]
    others = [outcome for outcome in outcomes if not isinstance(outcome, Promotion)]
    told = [outcome for outcome in others if isinstance(outcome, Failed) and outcome.kind == "StaleChampion"]
    faults = [f"a loser ended as {outcome}" for outcome in others if outcome not in told]

    def rest() -> list[str]:
        with open_ledger() as ledger:
            head = ledger.head(SPEC.name)
            is_winner = head is not None and head.promotion_id == winners[0].promotion_id
            return ([] if is_winner else ["the head is not the winner"]) + check_rest(ledger, Store())

    killed, wrong = in_child(rest)
    assert not killed
    return faults + wrong
