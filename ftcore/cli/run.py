"""`ftcore run SPEC`: the pipeline in one process, without Airflow."""

from __future__ import annotations

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
)
from ftcore.records import (
    Evaluation,
    PreparedDataset,
    Promotion,
    Record,
    TrainingRun,
    TuningResult,
    ValidationReport,
    Verdict,
)
from ftcore.spec import load_spec


def run(
    spec: SpecArgument,
    overrides: SetOption = None,
    first: Annotated[
        str, typer.Option("--from", help="First stage; earlier ones must have outputs to reuse.")
    ] = "ingest",
    last: Annotated[str, typer.Option("--to", help="Last stage.")] = "promote",
    rev: Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")] = None,
    explain_cache: Annotated[
        bool, typer.Option("--explain-cache", help="Say why each stage ran or was reused.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Pull, validate, prepare, train, evaluate, judge and promote. Finished stages are verified and reused."""
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import run_pipeline
    from ftcore.store import Store

    loaded = load_spec(spec, overrides or ())
    steps = []
    pipeline = run_pipeline(
        loaded, Store(), open_ledger(), first=first, last=last, rev=rev, announce=lambda name: print_note(f"{name} …")
    )
    while True:
        with libraries_on_stderr():
            step = next(pipeline, None)
        if step is None:
            break
        steps.append(step)
        if not json:
            how = "reused" if step.reused else f"{step.seconds:.1f} s"
            print_line(f"{step.stage:<9} {how:>8}  {summary(step.record)}")
            if explain_cache:
                for line in step.why:
                    print_line(f"{'':<19} because {line}")
    refused = steps[-1].record.refused if steps else ()
    if json:
        print_json({"spec": loaded.name, "refused": list(refused), "steps": [step.to_dict() for step in steps]})
    elif refused:
        print_line(f"Refused at {steps[-1].stage}; the champion stays.")
        for reason in refused:
            print_line(f"  - {reason}")
    if refused:
        raise typer.Exit(3)


def summary(record: Record) -> str:
    """One line for people about what a stage found."""
    match record:
        case ValidationReport():
            rows = ", ".join(f"{item.split} {item.num_rows}" for item in record.splits)
            leaked = ", ".join(f"{rule} {count}" for rule, count in record.num_leaked.items() if count)
            return f"{rows} rows; leaked test rows: {leaked or 'none'}; {record.report_uri or record.docs_uri}"
        case PreparedDataset():
            rows = ", ".join(f"{name} {count}" for name, count in record.num_rows.items())
            labels = f", {len(record.labels)} labels" if record.labels else ""
            aside = ", ".join(f"{reason} {count}" for reason, count in record.num_quarantined.items())
            told = [f"{rows} rows{labels}", f"set aside: {aside or 'none'}"]
            if record.num_personal:
                told.append(
                    f"personal data in rows: {', '.join(f'{kind} {n}' for kind, n in record.num_personal.items())}"
                )
            if record.num_label_suspects:
                told.append(
                    f"{sum(record.num_label_suspects.values())} labels to review: {record.uri}/label_review.jsonl"
                )
            return "; ".join(told)
        case TuningResult():
            chosen = " ".join(f"{path}={value}" for path, value in record.settings.items())
            mean = f"{record.rescored[0].mean:.4f} on fresh seeds" if record.rescored else f"{record.best_score:.4f}"
            return (
                f"{record.num_trials} trials; trial {record.chosen_trial}: {chosen}, validation {record.metric} {mean}"
            )
        case TrainingRun():
            return (
                f"{record.method} on {record.device} {record.precision}: {record.num_steps} steps in {record.train_s:.0f} s, "
                f"validation loss {record.best_validation_loss:.4f}, model {record.model_digest[:12]}"
                + (f", started from champion {record.started_from[:12]}" if record.started_from else "")
                + (f", taught by {record.taught_by[:12]}" if record.taught_by else "")
                + (f", after {' and '.join(phase.name for phase in record.phases)}" if record.phases else "")
            )
        case Evaluation():
            return (
                "; ".join(f"{item.role} {_first_metric(item)}" for item in record.models)
                + f" on {record.num_rows} rows"
            )
        case Verdict():
            return f"{record.outcome}: {record.reasons[0] if record.reasons else ''}"
        case Promotion():
            version = f"MLflow version {record.mlflow_version}"
            return f"champion is {record.model_digest[:12]} (seq {record.seq}, {record.state}, {version})"
    uri: Any = getattr(record, "uri", "")
    return f"{record.digest[:12]} {uri}"


def _first_metric(scored: Any) -> str:
    """The first metric is the best known one of its task: accuracy, or chrF by name."""
    if not scored.metrics:
        return "—"
    first = scored.metrics[0]
    return f"{first.value:.1%}" if first.name == "accuracy" else f"{first.name} {first.value:.1%}"
