"""`ftcore drift`: the drift decision on two files."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line, print_table
from ftcore.errors import UsageError

_FILE_HELP = (
    "JSONL or CSV with text, prediction or reply, confidence (any of them); plain text, a message a line; or a prediction "
    "log."
)
FileOption = Annotated[Path, typer.Option(help=_FILE_HELP)]


def drift(
    reference: FileOption,
    current: FileOption,
    history: Annotated[
        Path | None,
        typer.Option(help="Folder of files of earlier, ordinary windows; five or more raise the effect floors."),
    ] = None,
    alpha: Annotated[float, typer.Option(help="Family-wise false-alarm rate.")] = 0.01,
    min_effect: Annotated[float, typer.Option(help="Effect-size floor, 0 to 1.")] = 0.1,
    min_rows: Annotated[int, typer.Option(help="Fewer rows on a side: insufficient.", min=2)] = 200,
    json: JsonFlag = False,
) -> None:
    """Decide on drift between two windows: ok, watch, drift or insufficient. The verdict is the answer: all exit with 0."""
    from ftcore.monitoring.files import compare_files

    if not 0 < alpha < 1 or not 0 <= min_effect <= 1:
        raise UsageError(
            f"Saw --alpha {alpha:g} --min-effect {min_effect:g}; wanted alpha within (0, 1), effect within [0, 1]."
        )
    if history is not None and not history.is_dir():
        raise UsageError(f"No folder at {history} (--history).", hint=f"ls {history.parent}")
    start = time.monotonic()
    decision, tests = compare_files(reference, current, history, alpha=alpha, min_effect=min_effect, min_rows=min_rows)
    answer = {
        "verdict": decision.verdict,
        "p_value": decision.p_value,
        "tests": [asdict(test) for test in tests],
        "reasons": list(decision.reasons),
        "seconds": round(time.monotonic() - start, 3),
    }
    print_json(answer) if json else _show(answer)


def _show(answer: dict[str, Any]) -> None:
    print_line(answer["verdict"])
    for reason in answer["reasons"]:
        print_line(f"  - {reason}")
    if answer["tests"]:
        names = ("name", "effect", "floor", "p_value", "p_adjusted")
        rows = [
            tuple(test[name] if name == "name" else f"{test[name]:.3g}" for name in names) for test in answer["tests"]
        ]
        print_table("", ("test", "effect", "floor", "p", "p (Holm)"), rows)
