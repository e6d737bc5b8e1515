"""`ftcore leakage --train F --test F`: the leakage check on two files, without a spec."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line
from ftcore.errors import UsageError

_SHOWN = 20


def leakage(
    train: Annotated[str, typer.Option(help="Training rows: CSV, JSONL or Parquet.")],
    test: Annotated[str, typer.Option(help="Holdout rows.")],
    text_field: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    group_field: Annotated[str | None, typer.Option(help="Also report test rows whose group is in train.")] = None,
    time_field: Annotated[
        str | None, typer.Option(help="Also report test rows that are not newer than all of train (ISO 8601).")
    ] = None,
    label_field: Annotated[
        str | None, typer.Option(help="Also count hits whose two rows have different labels.")
    ] = None,
    max_leaked: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Exit code 3 if a larger share of test rows leaked.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Find test rows that training would see: exact, normalised, and by group or time where columns are named."""
    from ftcore.data.leakage import TEXT_RULES, find_leaks, leaked_fraction

    started = time.monotonic()
    columns = {"text": text_field, "group": group_field, "timestamp": time_field, "label": label_field}
    train_rows, test_rows = _read(train, test, columns)
    rules = [*TEXT_RULES, *(["group"] if group_field else []), *(["time"] if time_field else [])]
    leaks = find_leaks(train_rows, test_rows, rules)
    leaked = sorted({leak.test_row for leak in leaks})
    answer: dict[str, Any] = {
        "rows": {"train": len(train_rows), "test": len(test_rows)},
        "hits": [
            {"rule": leak.rule, "test_row": leak.test_row, "train_row": leak.train_row, "score": leak.score}
            for leak in leaks
        ],
        "leaked_test_rows": leaked,
    }
    if label_field:
        answer["conflicting_labels"] = sum(
            train_rows[leak.train_row]["label"] != test_rows[leak.test_row]["label"]
            for leak in leaks
            if leak.rule in TEXT_RULES
        )
    answer["seconds"] = round(time.monotonic() - started, 3)
    print_json(answer) if json else _print(answer, rules)
    if max_leaked is not None and leaked_fraction(leaks, len(test_rows)) > max_leaked:
        raise typer.Exit(3)


def _read(train: str, test: str, columns: dict[str, str | None]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    from ftcore.data.reading import raise_faults, read_file
    from ftcore.errors import DataRefused
    from ftcore.spec import ColumnsSpec

    # Columns that were not asked for must not be read by accident: they get a name that no file has.
    mapping = ColumnsSpec(**{part: columns.get(part) or f"\0{part}" for part in ColumnsSpec.model_fields})
    required = [part for part, name in columns.items() if name]
    faults, both = [], []
    for path in (Path(train), Path(test)):
        if not path.is_file():
            raise UsageError(f"No file at {path}; wanted CSV, JSONL or Parquet rows.", hint=f"ls {path.parent}")
        rows, file_faults = read_file(path, mapping, required=required, name=str(path))
        if not rows and not file_faults.count:
            file_faults.add("saw 0 rows, wanted at least 1")
        faults += [
            line.replace("data.columns.", "--").replace(": NAME", "-field NAME") for line in file_faults.report()
        ]
        both.append(rows)
    try:
        raise_faults(faults)
    except DataRefused as error:
        raise DataRefused(error.message, details=error.details, hint="ftcore leakage --help") from None
    return both[0], both[1]


def _print(answer: dict[str, Any], rules: list[str]) -> None:
    hits = answer["hits"]
    print_line(
        f"{answer['rows']['test']} test rows against {answer['rows']['train']} train rows in {answer['seconds']} s"
    )
    for rule in rules:
        print_line(f"  {rule:<12} {len({hit['test_row'] for hit in hits if hit['rule'] == rule})} test rows")
    for hit in hits[:_SHOWN]:
        print_line(f"  test row {hit['test_row']} = train row {hit['train_row']} ({hit['rule']}, {hit['score']:.2f})")
    if len(hits) > _SHOWN:
        print_line(f"  and {len(hits) - _SHOWN} more hits (--json lists all)")
    if "conflicting_labels" in answer:
        print_line(f"  {answer['conflicting_labels']} hits have different labels on their two rows")
    share = len(answer["leaked_test_rows"]) / answer["rows"]["test"]
    print_line(f"{len(answer['leaked_test_rows'])} test rows leaked ({share:.2%})")
