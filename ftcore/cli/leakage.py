"""`ftcore leakage --train F --test F`: the leakage check on two files, without a spec."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftcore.cli._label_findings import find_conflicts, place_of, print_conflicts, print_probes, probe_columns
from ftcore.cli._output import JsonFlag, print_json, print_line, print_note
from ftcore.errors import UsageError, num_of
from ftcore.spec import LeakageSpec

if TYPE_CHECKING:
    from ftcore.data.leakage import Embed, Leak
    from ftcore.data.two_files import TwoFiles

_SHOWN = 10
_DEFAULT = LeakageSpec()
Rows = list[dict[str, Any]]


def leakage(
    train: Annotated[str, typer.Option(help="Training rows: CSV, JSONL or Parquet; labelled texts or conversations.")],
    test: Annotated[str, typer.Option(help="Holdout rows.")],
    text_field: Annotated[str, typer.Option(help="Column of the text.")] = "text",
    group_field: Annotated[str | None, typer.Option(help="Also report test rows whose group is in train.")] = None,
    time_field: Annotated[
        str | None, typer.Option(help="Also report train rows from the start of the test period or later (ISO 8601).")
    ] = None,
    label_field: Annotated[
        str | None,
        typer.Option(help="Also look for labels in texts, and for (nearly) the same text under different labels."),
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(min=0.5, max=1.0, help="1 - edits / words that makes rows of 15 words and more near-duplicates."),
    ] = _DEFAULT.similarity,
    metadata: Annotated[
        list[str] | None,
        typer.Option(
            help="Also tell how well this column alone predicts the label (repeatable; group and time are, if named)."
        ),
    ] = None,
    trained: Annotated[
        str | None, typer.Option(help="Name of a spec: also report test rows that its trainings on this machine saw.")
    ] = None,
    paraphrases: Annotated[
        str | None,
        typer.Option(
            help="Also show pairs that perhaps mean the same, by the embeddings of this base model: a folder or "
            "pkg:PACKAGE/FOLDER. They count for nothing."
        ),
    ] = None,
    cosine: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Cosine similarity that makes two rows paraphrases.")
    ] = _DEFAULT.cosine,
    max_leaked: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Exit code 3 if a larger share of test rows leaked.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Find test rows that training would see, and show each beside the train row it leaked through."""
    from ftcore.data.leakage import OTHER_RULES, PARAPHRASE, TEXT_RULES, find_leaks
    from ftcore.data.leakage.background import similarity_hint
    from ftcore.data.two_files import columns_named, read_two

    if metadata and label_field is None:
        raise UsageError("--metadata asks what predicts the label.", hint="name the label's column: --label-field")
    started = time.monotonic()
    columns = {"text": text_field, "group": group_field, "timestamp": time_field, "label": label_field}
    note = (lambda text: None) if json else print_note
    note(f"reading {train} and {test} …")
    required = [part for part, name in columns.items() if name]
    files = read_two(train, test, columns_named(columns), ("classification",), required)
    train_rows, test_rows = files.train, files.test
    if files.malformed:
        note(f"left out {num_of(len(files.malformed), 'malformed row')}; the first: {files.malformed[0].detail}")
    asked = {"target_in_prompt": label_field, "group": group_field, "time": time_field, "reused": trained}
    rules = [*TEXT_RULES, *(rule for rule in OTHER_RULES if asked[rule])]
    note(f"comparing {len(test_rows):,} test rows with {len(train_rows):,} train rows …")
    embed = _embedder(paraphrases) if paraphrases else None
    seen = _seen(trained, test_rows)
    found = find_leaks(train_rows, test_rows, [*rules, PARAPHRASE], similarity, seen, embed, cosine)
    leaks = [leak for leak in found if leak.rule != PARAPHRASE]
    answer = _answer(leaks, train_rows, test_rows)
    conflicts: list[dict[str, Any]] = []
    if label_field is not None:
        conflicts = find_conflicts(leaks, train_rows, test_rows, similarity)
        named = {"group": group_field, "timestamp": time_field}
        answer |= _labels(conflicts) | {"metadata": _probe(files, (train, test), metadata or (), named)}
    told_only = [leak for leak in found if leak.rule == PARAPHRASE]
    if paraphrases:
        answer["paraphrases"] = [_hit(leak, train_rows, test_rows) for leak in told_only]
    refused = _over_budget(leaks, len(test_rows), max_leaked)
    answer["verdict"] = None if max_leaked is None else "refused" if refused else "ok"
    answer["refused"] = [refused] if refused else []
    answer["num_malformed"] = len(files.malformed)
    answer["seconds"] = round(time.monotonic() - started, 3)
    print_json(answer) if json else _print(answer, leaks, rules, train_rows, test_rows)
    if conflicts and not json:
        sides = {"train": train_rows, "test": test_rows}
        texts = {split: {place_of(row): row["text"] or "" for row in rows} for split, rows in sides.items()}
        print_conflicts(conflicts, texts)
    if answer.get("metadata") and not json:
        print_probes(answer["metadata"])
    if paraphrases and not json:
        _print_paraphrases(told_only, train_rows, test_rows)
    if hint := similarity_hint(test_rows, similarity):
        note(hint)
    if refused and not json:
        print_line(f"Refused: {refused}")
    if refused:
        raise typer.Exit(3)


def _over_budget(leaks: Sequence[Leak], num_test: int, max_leaked: float | None) -> str:
    """Why the budget is passed; empty: it is not, or there is none."""
    from ftcore.data.leakage import leaked_fraction, leaked_rows

    share = leaked_fraction(leaks, num_test)
    if max_leaked is None or share <= max_leaked:
        return ""
    seen = f"{len(leaked_rows(leaks))} of {num_test} test rows ({share:.2%}) leaked"
    return f"{seen}, wanted at most {max_leaked:.2%} (--max-leaked)"


def _answer(leaks: Sequence[Leak], train: Rows, test: Rows) -> dict[str, Any]:
    from ftcore.data.leakage import leaked_rows

    return {
        "rows": {"train": len(train), "test": len(test)},
        "hits": [_hit(leak, train, test) for leak in leaks],
        "leaked_test_rows": sorted(_number(test, row) or 0 for row in leaked_rows(leaks)),
        "train_rows_to_drop": sorted(
            {_number(train, leak.train_row) or 0 for leak in leaks if leak.train_row is not None}
        ),
    }


def _labels(conflicts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    within = [item for item in conflicts if len({side["split"] for side in item["rows"]}) == 1]
    across = [
        {
            "test_row": one["row"],
            "train_row": other["row"],
            "score": item["score"],
            "labels": [one["label"], other["label"]],
        }
        for item in conflicts
        for one, other in [item["rows"]]
        if one["split"] != other["split"]
    ]
    return {"conflicting_labels": len(across), "conflicts": across, "conflicts_within": within}


def _probe(
    files: TwoFiles, paths: tuple[str, str], columns: Sequence[str], named: Mapping[str, str | None]
) -> list[dict[str, Any]]:
    from ftcore.data.two_files import read_columns

    values: dict[str, dict[str, list[str | None]]] = {}
    splits = {"train": files.train, "test": files.test}
    for (split, rows), path in zip(splits.items(), paths, strict=True):
        values[split] = {name: [row.get(part) for row in rows] for part, name in named.items() if name}
        if columns:
            read = read_columns(path, columns, rows)
            values[split] |= {name: [row[name] for row in read] for name in columns}
    return probe_columns(values, {split: [row.get("label") for row in rows] for split, rows in splits.items()})


def _hit(leak: Leak, train: Rows, test: Rows) -> dict[str, Any]:
    numbers = {"test_row": _number(test, leak.test_row), "train_row": _number(train, leak.train_row)}
    return {"rule": leak.rule, **numbers, "score": leak.score}


def _number(rows: Rows, row: int | None) -> int | None:
    """Place of a row in its file: malformed rows before it count, too."""
    return None if row is None else place_of(rows[row])


def _seen(trained: str | None, test: Rows) -> list[int]:
    if trained is None:
        return []
    from ftcore.data.trained_rows import TrainedRows
    from ftcore.store import Store

    index = TrainedRows(Store(), trained)
    if not index.exists:
        raise UsageError(f"No training of {trained!r} is on record under FTCORE_HOME.", hint="ls $FTCORE_HOME/trained")
    return index.seen(test)


def _embedder(name: str) -> Embed:
    from ftcore.models.base import resolve_base
    from ftcore.models.devices import choose
    from ftcore.models.embeddings import Embedder
    from ftcore.spec import BaseModelSpec, ComputeSpec

    device = choose(ComputeSpec())
    device.prepare()
    return Embedder(resolve_base(BaseModelSpec(name=name)), device)


def _print(answer: dict[str, Any], leaks: Sequence[Leak], rules: list[str], train: Rows, test: Rows) -> None:
    from ftcore.data.leakage import MEANINGS

    print_line(f"{len(test):,} test rows against {len(train):,} train rows in {answer['seconds']} s")
    for rule in rules:
        hits = [leak for leak in leaks if leak.rule == rule]
        in_test = len({leak.test_row for leak in hits} - {None})
        in_train = len({leak.train_row for leak in hits} - {None})
        print_line(f"  {rule:<17}{in_test:>7} test {in_train:>7} train   {MEANINGS[rule]}")
    # Every rule gets a share of the examples, or the commonest would hide the others.
    shown = [
        leak for rule in rules for leak in [item for item in leaks if item.rule == rule][: max(2, _SHOWN // len(rules))]
    ]
    for leak in shown:
        _print_pair(leak, train, test)
    if len(leaks) > len(shown):
        print_line(f"\n  and {len(leaks) - len(shown):,} more hits (--json lists all)")
    num_leaked, num_drop = len(answer["leaked_test_rows"]), len(answer["train_rows_to_drop"])
    print_line(f"\n{num_of(num_leaked, 'test row')} leaked ({num_leaked / len(test):.2%})")
    if "conflicting_labels" in answer:
        print_line(f"{answer['conflicting_labels']} hits have different labels on their two rows")
    if num_drop:
        print_line(
            f"Next: drop {num_of(num_drop, 'train row')} (`train_rows_to_drop` of --json); leave the test file as it is"
        )


def _print_paraphrases(leaks: Sequence[Leak], train: Rows, test: Rows) -> None:
    in_test = len({leak.test_row for leak in leaks})
    print_line(f"\n{in_test:,} test rows have a paraphrase in train, perhaps (counted nowhere: read before you act)")
    for leak in sorted(leaks, key=lambda leak: -leak.score)[:_SHOWN]:
        _print_pair(leak, train, test)


def _print_pair(leak: Leak, train: Rows, test: Rows) -> None:
    print_line()
    print_line(f"  {_place(leak, train, test)}: {leak.rule}, {leak.score:.2f}")
    print_line(f"    {_evidence(leak, train, test)}")


def _place(leak: Leak, train: Rows, test: Rows) -> str:
    sides = (("test", _number(test, leak.test_row)), ("train", _number(train, leak.train_row)))
    return " = ".join(f"{side} row {row}" for side, row in sides if row is not None)


def _evidence(leak: Leak, train: Rows, test: Rows) -> str:
    from ftcore.data.leakage.evidence import align, as_line

    test_text = test[leak.test_row]["text"] or "" if leak.test_row is not None else None
    train_text = train[leak.train_row]["text"] or "" if leak.train_row is not None else None
    if leak.rule in ("group", "time"):
        column = {"group": "group", "time": "timestamp"}[leak.rule]
        assert leak.test_row is not None
        assert leak.train_row is not None
        return as_line(align(str(train[leak.train_row].get(column)), str(test[leak.test_row].get(column))))
    first = train_text if train_text is not None else test_text
    second = test_text if test_text is not None else train_text
    return as_line(align(first or "", second or ""))
