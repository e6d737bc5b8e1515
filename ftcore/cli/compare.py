"""`ftcore compare`: a verdict on two prediction files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, get_args

import typer
from pydantic import ValidationError

from ftcore.cli._output import JsonFlag, print_json, print_line, print_table
from ftcore.errors import UsageError
from ftcore.spec import GateMetric, GateSpec

FileOption = Annotated[Path, typer.Option(help="CSV or JSONL with id, target, prediction; optional slice, group.")]
METRICS = get_args(GateMetric)
MetricOption = Annotated[str, typer.Option(help=f"The metric that decides: {', '.join(METRICS)}.")]
MarginOption = Annotated[
    float, typer.Option(help="The lower bound of the difference (at 1 - alpha) must stay above minus this.")
]
GainOption = Annotated[float, typer.Option(help="Smallest difference worth a promotion (0.005 is half a point).")]
AlphaOption = Annotated[float, typer.Option(help="Error rate of each one-sided bound and test.")]
StrictOption = Annotated[bool, typer.Option("--strict", help="Also require two-sided p < alpha (exact McNemar).")]
GuardOption = Annotated[
    list[str] | None, typer.Option("--guard", help="METRIC=MARGIN: not worse by more than this (repeatable).")
]
CheckOption = Annotated[bool, typer.Option("--check", help="End with 3 unless the verdict is PASS, for scripts.")]
FloorOption = Annotated[list[str] | None, typer.Option("--floor", help="METRIC=LEAST of the candidate (repeatable).")]


def compare(
    champion: FileOption,
    candidate: FileOption,
    metric: MetricOption = "accuracy",
    margin: MarginOption = 0.005,
    min_gain: GainOption = 0.005,
    strict: StrictOption = False,
    alpha: AlphaOption = 0.05,
    guard: GuardOption = None,
    floor: FloorOption = None,
    check: CheckOption = False,
    json: JsonFlag = False,
) -> None:
    """Compare a candidate with the champion on the same rows: PASS, FAIL or NOT ENOUGH EVIDENCE, with reasons.

    Metrics from chrf on compare generated text; inverse_perplexity wants the columns nll and num_target_tokens.
    """
    from ftcore.evaluation.compare import compare_files

    faults: list[str] = []
    limits = {"guards": _limits("--guard", guard, faults), "floors": _limits("--floor", floor, faults)}
    options = {"metric": metric, "margin": margin, "min_gain": min_gain, "strict": strict, "alpha": alpha}
    answer = compare_files(champion, candidate, _gate({**options, **limits}, faults))
    if json:
        print_json(answer)
    else:
        _show(answer)
    if check and answer["verdict"] != "PASS":
        raise typer.Exit(3)


def _limits(option: str, given: list[str] | None, faults: list[str]) -> dict[str, float]:
    found = {}
    for text in given or ():
        name, _, number = text.partition("=")
        try:
            found[name] = float(number)
        except ValueError:
            faults.append(f"{option}: saw {text!r}, wanted METRIC=NUMBER, for example macro_f1=0.01")
    return found


def _gate(settings: dict[str, Any], faults: list[str]) -> GateSpec:
    """The gate that the options describe.

    Raises:
        UsageError: They cannot be read; every fault is listed.
    """
    try:
        gate = GateSpec.model_validate(settings)
    except ValidationError as error:
        for item in error.errors(include_url=False):
            name, *inside = item["loc"]
            option = f"--{str(name).removesuffix('s') if name in ('guards', 'floors') else name}".replace("_", "-")
            where = f" {inside[0]}" if inside else ""
            faults.append(f"{option}{where}: saw {item['input']!r}; {item['msg'].removeprefix('Value error, ')}")
    if faults:
        raise UsageError("Cannot read the options:", details=faults)
    return gate


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
