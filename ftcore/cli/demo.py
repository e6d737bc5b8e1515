"""`ftcore demo`: the whole loop on real Airflow with the shipped example."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ftcore.cli._output import print_line, print_table
from ftcore.errors import FtcoreError, UsageError
from ftcore.spec import load_spec
from ftcore.store import CACHES

if TYPE_CHECKING:
    from ftcore.stack.demo.timeline import Timeline

SPEC = "dags/specs/support_intents.yaml"
MARKER = "demo.json"


def demo(
    keep: Annotated[bool, typer.Option("--keep", help="Leave the stack running afterwards.")] = False,
) -> None:
    """Run the whole loop through the real Airflow scheduler; exit code 0 only if every decision came out as stated."""
    from ftcore.stack.control import down
    from ftcore.stack.demo.scenario import play
    from ftcore.stack.demo.timeline import Timeline
    from ftcore.store import ftcore_home, write_durable

    spec = load_spec(SPEC)
    home = ftcore_home()
    _start_from_nothing(home)
    write_durable(home / MARKER, "{}")
    timeline = Timeline(print_line)
    failure: FtcoreError | None = None
    try:
        play(spec, home, timeline)
    except FtcoreError as error:
        failure = error
    finally:
        timeline.save(home / MARKER)
        if not keep:
            down(home)
    _show(timeline, home, spec.name, keep)
    if failure is not None:
        print_line(f"The demo failed after {timeline.seconds:.0f} s.")
        raise failure
    print_line(f"Every decision came out as stated, in {timeline.seconds:.0f} s.")


def _start_from_nothing(home: Path) -> None:
    """A demo begins without a champion: an earlier demo's state is moved aside, anybody else's is never touched."""
    from ftcore.stack.control import down

    if not home.exists() or {path.name for path in home.iterdir()} <= CACHES:
        return
    if not (home / MARKER).is_file():
        raise UsageError(
            f"{home} holds state that no demo made; the demo starts from nothing.",
            hint="FTCORE_HOME=.ftcore-demo make demo",
        )
    down(home)
    previous = home.with_name(f"{home.name}.previous")
    shutil.rmtree(previous, ignore_errors=True)
    home.rename(previous)
    print_line(f"The last demo's state is now in {previous}.")


def _show(timeline: Timeline, home: Path, spec: str, keep: bool) -> None:
    from ftcore.stack.demo.places import where_to_look

    rows = [
        (row.step, f"{row.seconds:.1f}", "ok" if row.ok else "NOT OK", row.decision, row.why) for row in timeline.rows
    ]
    print_table("Timeline", ("step", "seconds", "", "decision", "why"), rows)
    if not keep:
        print_line("The stack is stopped. To browse what it made: make up (stop it again with: make down).")
    print_table("Where to look", ("what", "where"), where_to_look(home, spec))
