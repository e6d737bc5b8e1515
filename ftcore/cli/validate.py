"""`ftcore validate SPEC`, or `--train F --test F`: data quality and leakage verdict, report and Data Docs."""

from __future__ import annotations

import json as json_module
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftcore.cli._output import (
    JsonFlag,
    SetOption,
    libraries_on_stderr,
    print_json,
    print_note,
)
from ftcore.cli._verdict import NUM_SHOWN, print_verdict
from ftcore.errors import UsageError
from ftcore.records import DatasetVersion, ValidationReport
from ftcore.spec import FineTuneSpec, LeakageSpec, ValidationSpec, load_spec

if TYPE_CHECKING:
    from ftcore.data.two_files import TwoFiles

_DEFAULT = LeakageSpec()


def validate(
    spec: Annotated[str | None, typer.Argument(help="Spec file; not needed with --train and --test.")] = None,
    overrides: SetOption = None,
    rev: Annotated[str | None, typer.Option(help="Data revision instead of the spec's.")] = None,
    train: Annotated[
        str | None, typer.Option(help="Training rows: CSV, JSONL, Parquet or text; labelled texts or conversations.")
    ] = None,
    test: Annotated[str | None, typer.Option(help="Holdout rows.")] = None,
    text_field: Annotated[str, typer.Option(help="Column of the text, for --train and --test.")] = "text",
    label_field: Annotated[str, typer.Option(help="Column of the label.")] = "label",
    id_field: Annotated[
        str | None,
        typer.Option(
            help="Column of the row ids; without it a row goes by its place: train.csv:70 (data rows from 0)."
        ),
    ] = None,
    group_field: Annotated[
        str | None,
        typer.Option(
            help="Column of what belongs together (customer, document): test rows whose group is in train have leaked."
        ),
    ] = None,
    time_field: Annotated[
        str | None,
        typer.Option(
            help="Column of ISO 8601 times: train rows from the start of the test period or later have leaked."
        ),
    ] = None,
    source_field: Annotated[
        str | None, typer.Option(help="Column of where a row comes from: compared in the report.")
    ] = None,
    format: Annotated[
        str,
        typer.Option(
            help="messages, prompt_completion, alpaca, sharegpt, turns, classification; auto: told by the columns."
        ),
    ] = "auto",
    suite: Annotated[
        Path | None, typer.Option(help="Expectation suite; default: the starter suite of the task.")
    ] = None,
    max_leaked: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of test rows that may have leaked.")
    ] = _DEFAULT.max_leaked,
    similarity: Annotated[
        float,
        typer.Option(
            min=0.5, max=1.0, help="What makes rows of 15 words and more near-duplicates; see `ftcore leakage`."
        ),
    ] = _DEFAULT.similarity,
    max_quarantined: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of rows that may be set aside.")
    ] = ValidationSpec().max_quarantined,
    report: Annotated[Path | None, typer.Option(help="Write the HTML report of two files here.")] = None,
    write_train: Annotated[
        Path | None,
        typer.Option(
            help="Write the train rows as prepare would leave them here (JSONL): leaked, repeated and unfit rows gone."
        ),
    ] = None,
    suggest: Annotated[
        Path | None,
        typer.Option(help="Judge nothing: write a suite made from what the data looks like here, to review."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Judge a data set: expectations on every split, labels, leaks. Exit code 3: refused."""
    if (spec is None) == (train is None or test is None):
        raise UsageError(
            "Wanted a spec, or --train and --test.", hint="ftcore validate --train train.csv --test test.csv"
        )
    if suggest is not None and report is not None:
        raise UsageError(
            "--suggest judges nothing, so there is no report to write.", hint="leave out --suggest or --report"
        )
    if suite is not None and not suite.is_file():
        raise UsageError(f"No expectation suite at {suite} (--suite).", hint="--suggest FILE writes one to review")
    if write_train is not None:
        _check_target(write_train, alone=spec is None and suggest is None)
    note = (lambda text: None) if json else print_note
    if spec is not None:
        if suggest is not None:
            answer = _suggest_for_spec(load_spec(spec, overrides or ()), rev, suggest)
        else:
            answer = _judge_spec(load_spec(spec, overrides or ()), rev, note)
    else:
        assert train is not None
        assert test is not None
        columns = {
            "text": text_field, "label": label_field, "id": id_field, "group": group_field, "timestamp": time_field,
            "source": source_field,
        }  # fmt: skip
        note(f"reading {train} and {test} …")
        files = _read(train, test, columns, format)
        if suggest is not None:
            answer = _suggest({"train": files.train, "test": files.test}, _task(files), suggest)
        else:
            budgets = {"max_leaked": max_leaked, "max_quarantined": max_quarantined, "similarity": similarity}
            answer = _judge_files(files, train, test, columns, suite, budgets, report, write_train, note)
    print_json(answer) if json else print_verdict(answer)
    if answer.get("refused"):
        raise typer.Exit(3)


def _judge_spec(spec: FineTuneSpec, rev: str | None, note: Any) -> dict[str, Any]:
    from ftcore.data.reading import read_jsonl
    from ftcore.ledger import open_ledger
    from ftcore.pipeline import run_pipeline
    from ftcore.store import Store

    store = Store()
    with libraries_on_stderr():
        *_, step = run_pipeline(
            spec, store, open_ledger(), last="validate", rev=rev, announce=lambda name: note(f"{name} …")
        )
    record = step.record
    assert isinstance(record, ValidationReport)
    folder = store.resolve(record.uri)
    findings = json_module.loads((folder / "findings.json").read_text(encoding="utf-8"))
    malformed = read_jsonl(folder / "malformed.jsonl")
    return {
        "verdict": "refused" if record.refused else "ok",
        "refused": list(record.refused),
        "reused": step.reused,
        "docs": str(store.resolve(record.docs_uri)),
        "report_page": str(store.resolve(record.report_uri)) if record.report_uri else None,
        "report": record.to_dict() | {"num_malformed": len(malformed)},
        "malformed": [{"id": row["id"], "detail": row["detail"]} for row in malformed[:NUM_SHOWN]],
        "findings": findings,
        "name": spec.name,
        "next": "ftcore quarantine list SPEC shows the rows set aside" if findings else "",
    }


def _judge_files(
    files: TwoFiles, train: str, test: str, columns: Mapping[str, str | None], suite: Path | None,
    budgets: Mapping[str, float], page: Path | None, target: Path | None, note: Any,
) -> dict[str, Any]:  # fmt: skip
    rules = [rule for rule in _DEFAULT.rules if rule != "reused"] + (["time"] if columns["timestamp"] else [])
    leakage = LeakageSpec.model_validate(
        {"rules": rules, "max_leaked": budgets["max_leaked"], "similarity": budgets["similarity"]}
    )
    note(f"judging {len(files.train):,} train and {len(files.test):,} test rows ({files.format}) …")
    with libraries_on_stderr(), tempfile.TemporaryDirectory(prefix="ftcore-validate-") as folder:
        from ftcore.data.leakage.background import similarity_hint
        from ftcore.validation.report import write_report
        from ftcore.validation.two_files import judge_two

        judged = judge_two(files, train, test, suite, leakage, budgets["max_quarantined"], Path(folder) / "docs")
        if page is not None:
            write_report(page, judged.report)
    if hint := similarity_hint(files.test, budgets["similarity"]):
        note(hint)
    found = judged.found
    return {
        "verdict": "refused" if found.refused else "ok",
        "refused": list(found.refused),
        "format": files.format,
        "suite": judged.suite.name,
        "report_page": str(page) if page is not None else None,
        "report": {
            "splits": [asdict(item) for item in found.reports],
            "num_leaked": dict(found.num_leaked),
            "num_malformed": len(files.malformed),
        },
        "findings": [finding.to_dict() for finding in found.found],
        "malformed": [{"id": row.id, "detail": row.detail} for row in files.malformed[:NUM_SHOWN]],
        "prepared": judged.prepared,
        "num_repaired": judged.num_repaired,
        "train_written": _write_train(target, judged.train, files) if target is not None else None,
        "set_aside": dict(found.quarantine),
        "leaks": list(found.leaks),
        "name": f"{train} and {test}",
        "next": "" if page is not None else "--report data.html writes all of it as a page, with examples and pairs",
    }


def _check_target(path: Path, *, alone: bool) -> None:
    """Before anything is read: a mistake should not cost the time of judging.

    Raises:
        UsageError: The train file cannot be written there, or there are no two files to make it from.
    """
    if not alone:
        raise UsageError(
            "--write-train is for --train and --test without --suggest.", hint="ftcore run SPEC --to prepare"
        )
    if path.suffix != ".jsonl":
        raise UsageError(
            f"Saw --write-train {path}, wanted a name that ends in .jsonl.", hint=f"--write-train {path.stem}.jsonl"
        )
    if path.exists():
        raise UsageError(
            f"{path} is there already and is not overwritten (--write-train).",
            hint=f"--write-train {path.stem}-new.jsonl",
        )


def _write_train(path: Path, rows: Sequence[Mapping[str, Any]], files: TwoFiles) -> dict[str, Any]:
    from ftcore.data.reading import write_jsonl

    write_jsonl(path, rows)
    return {"path": str(path), "num_kept": len(rows), "num_rows": len(files.train) + files.num_malformed_train}


def _suggest_for_spec(spec: FineTuneSpec, rev: str | None, path: Path) -> dict[str, Any]:
    from ftcore.data.reading import read_splits
    from ftcore.ledger import open_ledger
    from ftcore.models.base import resolve_base
    from ftcore.pipeline import run_pipeline
    from ftcore.store import Store

    store = Store()
    with libraries_on_stderr():
        *_, step = run_pipeline(spec, store, open_ledger(), last="ingest", rev=rev)
    assert isinstance(step.record, DatasetVersion)
    folder = store.resolve(step.record.uri) / "files"
    splits = read_splits(folder, spec.data, task=spec.task, set_aside=[])
    tokenizer = resolve_base(spec.base_model, spec.root).path
    around = {"tokenizer": tokenizer, "max_length": spec.training.max_length}
    personal = {
        "personal_kinds": tuple(spec.prepare.personal_kinds), "phone_regions": tuple(spec.prepare.phone_regions),
    }  # fmt: skip
    return _suggest(splits, spec.task, path, **around, **personal)


def _suggest(splits: Mapping[Any, Sequence[Any]], task: str, path: Path, **around: Any) -> dict[str, Any]:
    from ftcore.store import write_durable

    if path.exists():
        raise UsageError(
            f"{path} is there already; a reviewed suite is not overwritten.", hint=f"--suggest {path.stem}-new.json"
        )
    with libraries_on_stderr():
        from ftcore.validation.suggest import suggest_suite
        from ftcore.validation.suites import suite_text
        from ftcore.validation.surroundings import Surroundings

        suite = suggest_suite(splits, Surroundings(task=task, **around), name=path.stem)
    write_durable(path, suite_text(suite))
    return {"suggested": str(path), "num_expectations": len(suite["expectations"]), "task": task}


def _task(files: TwoFiles) -> str:
    return "classification" if files.format == "classification" else "instruction"


def _read(train: str, test: str, columns: Mapping[str, str | None], format: str) -> TwoFiles:
    from ftcore.data.reading import ALL_FORMATS
    from ftcore.data.two_files import columns_named, read_two

    if format not in ("auto", *ALL_FORMATS):
        raise UsageError(f"No format {format!r}; wanted auto or one of {', '.join(ALL_FORMATS)}.")
    formats = ALL_FORMATS if format == "auto" else (format,)
    return read_two(train, test, columns_named(columns), formats)
