"""`ftcore leakage --train F --test F`: the leakage check on two files, without a spec."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line, print_note
from ftcore.errors import UsageError, num_of
from ftcore.spec import LeakageSpec

if TYPE_CHECKING:
    from ftcore.data.leakage import Embed, Leak

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
        str | None, typer.Option(help="Also look for labels in texts, and count hits whose rows have different labels.")
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(min=0.5, max=1.0, help="1 - edits / words that makes rows of 15 words and more near-duplicates."),
    ] = _DEFAULT.similarity,
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
    answer = _answer(leaks, train_rows, test_rows, labelled=label_field is not None)
    told_only = [leak for leak in found if leak.rule == PARAPHRASE]
    if paraphrases:
        answer["paraphrases"] = [_hit(leak, train_rows, test_rows) for leak in told_only]
    refused = _over_budget(leaks, len(test_rows), max_leaked)
    answer["verdict"] = None if max_leaked is None else "refused" if refused else "ok"
    answer["refused"] = [refused] if refused else []
    answer["num_malformed"] = len(files.malformed)
    answer["seconds"] = round(time.monotonic() - started, 3)
    print_json(answer) if json else _print(answer, leaks, rules, train_rows, test_rows)
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


def _answer(leaks: Sequence[Leak], train: Rows, test: Rows, *, labelled: bool) -> dict[str, Any]:
    from ftcore.data.leakage import leaked_rows
    from ftcore.data.leakage.labels import conflicting_leaks

    answer: dict[str, Any] = {
        "rows": {"train": len(train), "test": len(test)},
        "hits": [_hit(leak, train, test) for leak in leaks],
        "leaked_test_rows": sorted(_number(test, row) or 0 for row in leaked_rows(leaks)),
        "train_rows_to_drop": sorted(
            {_number(train, leak.train_row) or 0 for leak in leaks if leak.train_row is not None}
        ),
    }
    if labelled:
        conflicts = conflicting_leaks(leaks, train, test)
        answer["conflicting_labels"] = len(conflicts)
        answer["conflicts"] = [
            {"test_row": _number(test, leak.test_row), "train_row": _number(train, leak.train_row), "score": leak.score}
            for leak in conflicts
        ]
    return answer


def _hit(leak: Leak, train: Rows, test: Rows) -> dict[str, Any]:
    numbers = {"test_row": _number(test, leak.test_row), "train_row": _number(train, leak.train_row)}
    return {"rule": leak.rule, **numbers, "score": leak.score}


def _number(rows: Rows, row: int | None) -> int | None:
    """Place of a row in its file: malformed rows before it count, too."""
    return None if row is None else int(rows[row]["id"].rpartition(":")[2])


def _seen(trained: str | None, test: Rows) -> list[int]:
    if trained is None:
        return []
    from ftcore.data.leakage import TrainedRows
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
    print_line(f"\n{num_leaked:,} test rows leaked ({num_leaked / len(test):.2%})")
    if "conflicting_labels" in answer:
        print_line(f"{answer['conflicting_labels']} hits have different labels on their two rows")
    if num_drop:
        print_line(f"Next: drop {num_drop:,} train rows (`train_rows_to_drop` of --json); leave the test file as it is")


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
