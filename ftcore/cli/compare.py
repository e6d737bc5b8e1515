"""`ftcore compare`: a verdict on two prediction files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line, print_table
from ftcore.errors import UsageError
from ftcore.spec import GateMetric, GateSpec

FileOption = Annotated[Path, typer.Option(help="CSV or JSONL with id, target, prediction; optional slice, group.")]
METRICS = get_args(GateMetric)
MetricOption = Annotated[str, typer.Option(help=f"The metric that decides: {', '.join(METRICS)}.")]
MarginOption = Annotated[float, typer.Option(help="The lower 95 % bound of the difference must stay above minus this.")]
GainOption = Annotated[float, typer.Option(help="Smallest difference worth a promotion (0.005 is half a point).")]


def compare(
    champion: FileOption,
    candidate: FileOption,
    metric: MetricOption = "accuracy",
    margin: MarginOption = 0.005,
    min_gain: GainOption = 0.005,
    json: JsonFlag = False,
) -> None:
    """Compare a candidate with the champion on the same rows: PASS, FAIL or NOT ENOUGH EVIDENCE, with reasons.

    Metrics from chrf on compare generated text; inverse_perplexity wants the columns nll and num_target_tokens.
    """
    from ftcore.evaluation.compare import compare_files

    answer = compare_files(champion, candidate, _gate(metric, margin, min_gain))
    if json:
        print_json(answer)
    else:
        _show(answer)


def _gate(metric: str, margin: float, min_gain: float) -> GateSpec:
    faults = []
    if metric not in METRICS:
        faults.append(f"--metric: saw {metric!r}, wanted one of {', '.join(METRICS)}")
    for name, value in (("--margin", margin), ("--min-gain", min_gain)):
        if not 0 <= value <= 1:
            faults.append(f"{name}: saw {value}, wanted a fraction from 0 to 1")
    if faults:
        raise UsageError("Cannot read the options:", details=faults)
    return GateSpec.model_validate({"metric": metric, "margin": margin, "min_gain": min_gain, "floors": {}})


def _show(answer: dict[str, Any]) -> None:
    print_line(answer["verdict"])
    for reason in answer["reasons"]:
        print_line(f"  - {reason}")
    shared = ("champion", "candidate", "difference", "95 % interval")
    metrics = [
        (line["name"], *_cells(line), f"{line['p_value']:.3g}", f"{line['n']:,}", f"{line['n_needed']:,}")
        for line in answer["metrics"]
    ]
    print_table("", ("metric", *shared, "p (one-sided)", "rows", "rows needed"), metrics)
    if answer["slices"]:
        slices = [(line["value"], *_cells(line), f"{line['n']:,}", _state(line)) for line in answer["slices"]]
        print_table("", ("slice", *shared, "rows", "judged"), slices)


def _cells(line: dict[str, Any]) -> tuple[str, ...]:
    interval = f"{line['ci_low']:+.4f} to {line['ci_high']:+.4f}"
    return f"{line['champion']:.4f}", f"{line['candidate']:.4f}", f"{line['difference']:+.4f}", interval


def _state(line: dict[str, Any]) -> str:
    if line["blocked"]:
        return "BLOCKED"
    return "yes" if line["judged"] else "too few rows"
