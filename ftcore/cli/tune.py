"""`ftcore tune SPEC`: search for settings, and show what to write into the spec."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._output import (
    JsonFlag,
    SetOption,
    SpecArgument,
    libraries_on_stderr,
    print_json,
    print_line,
    print_note,
    print_table,
)
from ftcore.records import TuningResult
from ftcore.spec import FineTuneSpec, load_spec


def tune(
    spec: SpecArgument,
    overrides: SetOption = None,
    rev: Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")] = None,
    plan: Annotated[bool, typer.Option("--plan", hidden=True)] = False,
    worker: Annotated[int | None, typer.Option(hidden=True, min=0)] = None,
    inputs: Annotated[Path | None, typer.Option(hidden=True)] = None,
    json: JsonFlag = False,
) -> None:
    """Run the pipeline up to `tune`: trials on the validation split within `tuning.trials` and `tuning.minutes`, the best ones
    trained anew on fresh seeds. The holdout is not looked at."""
    from ftcore.stages import stage_of
    from ftcore.store import Store

    loaded = load_spec(spec, overrides or ())
    stage_of("tune", loaded)
    if plan or worker is not None:
        print_json(_part(loaded, inputs, worker))
        return
    step = _run(loaded, rev)
    if step.record.refused:
        if json:
            print_json({"spec": loaded.name, "stage": step.stage, "refused": list(step.record.refused)})
        for reason in () if json else step.record.refused:
            print_line(f"Refused at {step.stage}: {reason}")
        raise typer.Exit(3)
    assert isinstance(step.record, TuningResult)
    text = Store().resolve(step.record.trials_uri).read_text(encoding="utf-8")
    trials = [jsonlib.loads(line) for line in text.splitlines()]
    if json:
        print_json({"spec": loaded.name, "reused": step.reused, "record": step.record.to_dict(), "trials": trials})
    else:
        _show(step.record, trials)


def _part(spec: FineTuneSpec, inputs: Path | None, worker: int | None) -> dict[str, Any]:
    """What Airflow's tasks call before the stage."""
    from ftcore.cli.stage import read_records
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import begin_stage, gather, share_search
    from ftcore.stages import stage_of
    from ftcore.store import Store

    store = Store()
    with libraries_on_stderr():
        ledger = open_ledger()
        given = gather(stage_of("tune", spec), spec, ledger, store, read_records(inputs))
        begin_stage("tune", spec, ledger)
        return share_search(spec, given, store, worker)


def _run(spec: FineTuneSpec, rev: str | None) -> Any:
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import run_pipeline
    from ftcore.store import Store

    note = lambda name: print_note(f"{name} …")  # noqa: E731
    with libraries_on_stderr():
        *_, last = run_pipeline(spec, Store(), open_ledger(), last="tune", rev=rev, announce=note)
    return last


def _show(record: TuningResult, trials: list[dict[str, Any]]) -> None:
    by_number = {trial["number"]: trial for trial in trials}
    again = {item.trial: item for item in record.rescored}
    order = list(again) or [record.chosen_trial]
    rows = []
    for number in order:
        trial, item = by_number[number], again.get(number)
        anew = f"{item.mean:.4f} ± {item.spread:.4f}" if item else "—"
        name = f"{number} (the spec's own)" if trial["is_own"] else str(number)
        rows.append((name, f"{trial['score']:.4f}", anew, _line(trial["settings"])))
    print_table(f"Validation {record.metric}, best first", ("trial", "its score", "on fresh seeds", "settings"), rows)
    print_line(
        f"{record.num_trials} trials in {record.search_s:.0f} s: {record.num_complete} finished, {record.num_pruned} pruned, "
        f"{record.num_failed} failed; re-scored in {record.rescore_s:.0f} s. All of them: {record.trials_uri}"
    )
    if record.optimism is not None:
        print_line(f"The best trial looked better than its settings are on fresh seeds by {record.optimism:.4f}.")
    print_line("To keep these settings without searching again, write into the spec (and take `tuning` out):")
    print_line()
    for line in paste(record.settings):
        print_line(f"  {line}")


def paste(settings: Any) -> list[str]:
    """Settings as the lines of a spec."""
    import yaml

    nested: dict[str, Any] = {}
    for path, value in settings.items():
        *parents, last = path.split(".")
        node = nested
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    return yaml.safe_dump(nested, sort_keys=True).splitlines()


def _line(settings: dict[str, Any]) -> str:
    return " ".join(
        f"{path}={value:.4g}" if isinstance(value, float) else f"{path}={value}" for path, value in settings.items()
    )
