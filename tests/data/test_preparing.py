from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.conversations import generation_row
from ftcore.data.preparing import Prepared, holdout_identity, prepare_splits
from ftcore.data.reading import read_file
from ftcore.data.splitting import split_rows
from ftcore.spec import ColumnsSpec, DataSpec, LeakageSpec, PrepareSpec, ValidationSpec

LENIENT = ValidationSpec(max_quarantined=1.0)


def rows(prefix: str, *pairs: tuple[str | None, str | None]) -> list[dict[str, Any]]:
    return [{"id": f"{prefix}{n}", "text": text, "label": label} for n, (text, label) in enumerate(pairs)]


def prepare(train: Any, validation: Any = (), test: Any = (), **settings: Any) -> Prepared:
    raw = {
        "train": rows("t", *train),
        "validation": rows("v", *(validation or [("some other", "a")])),
        "test": rows("x", *(test or [("a fresh one", "a")])),
    }
    leakage = settings.pop("leakage", LeakageSpec(max_leaked=1.0))
    validation_spec = settings.pop("validation_spec", LENIENT)
    return prepare_splits(raw, PrepareSpec(**settings), leakage, validation_spec)


def reasons(prepared: Prepared) -> dict[str, str]:
    return {item["id"]: item["reason"] for item in prepared.quarantine}


def test_each_reason() -> None:
    prepared = prepare(
        [("fine", "a"), ("  ", "a"), (None, "a"), ("no label", None), ("lost \ufffd", "a"), ("x" * 60, "a"),
         ("twice", "a"), ("Twice!", "a"), ("either", "a"), ("Either", "b"), ("seen it", "b"), ("other class", "b")],
        validation=[("SEEN it", "b"), ("stranger", "c"), ("kept", "b")],
        test=[("seen it!", "b"), ("new", "a")],
        max_chars=50,
    )  # fmt: skip
    assert reasons(prepared) == {
        "t1": "empty_text", "t2": "empty_text", "t3": "missing_label", "t4": "broken_encoding", "t5": "too_long",
        "t7": "duplicate", "t8": "conflicting_label", "t9": "conflicting_label", "t10": "leaked", "v0": "leaked",
        "v1": "unknown_label",
    }  # fmt: skip
    assert prepared.num_quarantined["leaked"] == 2
    assert [row["id"] for row in prepared.splits["test"]] == ["x0", "x1"]  # never the test row
    assert prepared.labels == ["a", "b"]
    assert next(item for item in prepared.quarantine if item["id"] == "t7")["twin"] == "t6"
    assert not any("text" in item for item in prepared.quarantine)
    assert prepared.refused == []


def test_budgets_refuse() -> None:
    many = [(f"row {n}", "a") for n in range(9)] + [("", "a")]
    prepared = prepare(many, validation_spec=ValidationSpec(max_quarantined=0.05))
    assert "1 of 12 rows (8.33%) were set aside (empty_text 1)" in prepared.refused[0]
    leaked = prepare(
        [("same", "a"), ("b", "a")], test=[("Same.", "a"), ("new", "a")], leakage=LeakageSpec(max_leaked=0.4)
    )
    assert "1 of 2 test rows (50.00%)" in leaked.refused[0]


def test_train_rows_that_repeat_a_validation_row_leave_train_and_refuse_nothing() -> None:
    many = [("same", "a"), *((f"row {n}", "a") for n in range(9))]
    prepared = prepare(many, validation=[("Same!", "a")], validation_spec=ValidationSpec(max_quarantined=0.0))
    assert prepared.quarantine == [{"id": "t0", "split": "train", "reason": "leaked_validation", "twin": "v0"}]
    assert [row["id"] for row in prepared.splits["validation"]] == ["v0"]
    assert prepared.refused == []


def test_unknown_label_in_test_and_empty_splits_refuse() -> None:
    assert "labels that train lacks after cleaning: z" in prepare([("a", "a")], test=[("b", "z")]).refused[0]
    assert "train has 0 rows left" in " ".join(prepare([("", "a")]).refused)


def test_switches() -> None:
    kept = prepare([("Ã©a", "a"), ("Ã©a", "a")], fix_encoding=False, deduplicate=False)
    assert [row["text"] for row in kept.splits["train"]] == ["Ã©a", "Ã©a"]
    assert prepare([("Ã©a", "a")]).splits["train"][0]["text"] == "éa"


def test_personal_data_is_counted_redacted_or_set_aside() -> None:
    pairs = [("mail me at kim@example.org", "a"), ("plain", "a"), ("call +44 20 7946 0018 or kim@example.org", "a")]
    kept = prepare(pairs)
    assert kept.personal == [
        {"id": "t0", "split": "train", "kinds": {"email": 1}},
        {"id": "t2", "split": "train", "kinds": {"email": 1, "phone": 1}},
    ]
    assert kept.num_personal == {"email": 2, "phone": 1}
    assert kept.splits["train"][0]["text"] == pairs[0][0]
    redacted = prepare(pairs, personal_data="redact")
    assert [row["text"] for row in redacted.splits["train"]] == [
        "mail me at [EMAIL]",
        "plain",
        "call [PHONE] or [EMAIL]",
    ]
    assert redacted.num_personal == kept.num_personal
    aside = prepare(pairs, personal_data="quarantine", personal_kinds=["phone"])
    assert reasons(aside) == {"t2": "personal_data"}
    assert "kim" not in repr(aside.personal) + repr(aside.quarantine)


def test_rows_that_are_the_same_once_redacted_are_twins() -> None:
    pairs = [("write to kim@example.org", "a"), ("write to lee@example.org", "a")]
    assert reasons(prepare(pairs, personal_data="redact")) == {"t1": "duplicate"}
    assert reasons(prepare(pairs)) == {}


def test_others_may_ask_for_rows_to_be_set_aside() -> None:
    raw = {
        "train": rows("t", ("one", "a"), ("two", "a")),
        "validation": rows("v", ("three", "a")),
        "test": rows("x", ("four", "a")),
    }
    prepared = prepare_splits(
        raw, PrepareSpec(), LeakageSpec(), ValidationSpec(max_quarantined=0.1), unfit={"t1": "toxic"}
    )
    assert reasons(prepared) == {"t1": "toxic"}
    assert "(toxic 1)" in prepared.refused[0]


def test_markup_goes_when_asked_to() -> None:
    pairs = [("<p>Where is <b>my</b> order?</p><script>x()</script>", "a")]
    assert prepare(pairs).splits["train"][0]["text"] == pairs[0][0]
    assert prepare(pairs, strip_html=True).splits["train"][0]["text"] == "Where is my order?"


def test_every_turn_of_a_conversation_is_cleaned_and_redacted() -> None:
    def chat(row_id: str, question: str, answer: str) -> dict[str, Any]:
        return {"id": row_id} | generation_row(
            [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
        )

    raw = {
        "train": [chat("t", "<b>I am</b> kim@example.org", "Thanks,\n  I noted kim@example.org&amp;co")],
        "validation": [chat("v", "another question", "yes")],
        "test": [chat("x", "a third one", "no")],
    }
    prepared = prepare_splits(raw, PrepareSpec(strip_html=True, personal_data="redact"), LeakageSpec(), LENIENT)
    (row,) = prepared.splits["train"]
    assert row["text"] == row["messages"][0]["content"] == "I am [EMAIL]"
    assert row["completion"] == row["messages"][1]["content"] == "Thanks,\n  I noted [EMAIL]&co"
    assert prepared.personal == [{"id": "t", "split": "train", "kinds": {"email": 2}}]


words = st.sampled_from(["a", "A!", "b", "c d", "", "\ufffd", "e"])
raw_rows = st.lists(st.tuples(words, st.sampled_from(["x", "y", None])), max_size=10)


@given(raw_rows, raw_rows, raw_rows)
def test_every_row_is_kept_once_or_set_aside_once(train: Any, validation: Any, test: Any) -> None:
    raw = {"train": rows("t", *train), "validation": rows("v", *validation), "test": rows("x", *test)}
    prepared = prepare_splits(raw, PrepareSpec(), LeakageSpec(max_leaked=1.0), LENIENT)
    kept = [row["id"] for members in prepared.splits.values() for row in members]
    aside = [item["id"] for item in prepared.quarantine]
    assert sorted(kept + aside) == sorted(row["id"] for members in raw.values() for row in members)
    again = prepare_splits(prepared.splits, PrepareSpec(), LeakageSpec(max_leaked=1.0), LENIENT)
    assert again.splits == prepared.splits  # nothing left to do


def test_identity_of_a_holdout_ignores_order() -> None:
    members = rows("x", ("a", "a"), ("b", "b"))
    assert holdout_identity(members) == holdout_identity(members[::-1])
    assert holdout_identity(members) != holdout_identity(rows("x", ("a", "a"), ("b", "a")))


def test_the_planted_faults_are_caught(example_data: Path) -> None:
    path = example_data / "dirty.jsonl"
    faults = {row["id"]: row["fault"] for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    found, _ = read_file(path, ColumnsSpec())
    spec = DataSpec(validation_fraction=0.0, test_fraction=0.0)
    everything = split_rows({"any": found}, spec)
    got = reasons(prepare_splits(everything, PrepareSpec(), LeakageSpec(), LENIENT))
    expected = {
        "empty_text": "empty_text", "whitespace_text": "empty_text", "replacement_char": "broken_encoding",
    }  # fmt: skip
    for row_id, fault in faults.items():
        if fault in expected:
            assert got.get(row_id) == expected[fault], row_id
    repaired = [row_id for row_id, fault in faults.items() if fault in ("mojibake", "zero_width", "control_chars")]
    assert repaired
    assert not set(repaired) & {row_id for row_id, reason in got.items() if reason == "broken_encoding"}


def conversation(row_id: str, question: str, answer: str) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"id": row_id, **generation_row(turns)}


def test_conversations_are_cleaned_and_judged_turn_by_turn() -> None:
    train = [
        conversation("t0", " caf\u00c3\u00a9\u200b? ", "  yes\n  really "),
        conversation("t1", "good question", "one answer"),
        conversation("t2", "Good question!", "another answer"),
        conversation("t3", "good question", "One answer."),
        conversation("t4", "fine", "\u200b"),
        conversation("t5", "fine", "lost \ufffd"),
        conversation("t6", "asked in test", "x"),
        conversation("t7", "q" * 60, "x"),
    ]
    raw = {
        "train": train,
        "validation": [conversation("v0", "other", "x")],
        "test": [conversation("x0", "Asked in test?", "y")],
    }
    prepared = prepare_splits(raw, PrepareSpec(max_chars=50), LeakageSpec(max_leaked=1.0), LENIENT)
    assert reasons(prepared) == {
        "t3": "duplicate", "t4": "empty_text", "t5": "broken_encoding", "t6": "leaked", "t7": "too_long",
    }  # fmt: skip
    first = prepared.splits["train"][0]
    assert (first["text"], first["completion"]) == ("café?", "yes\n  really")
    assert first["messages"][0]["content"] == "café?"
    assert prepared.labels == [] and prepared.refused == []
    assert holdout_identity(raw["test"]) != holdout_identity([conversation("x0", "Asked in test?", "z")])


def test_texts_whose_encoding_is_repaired_are_counted() -> None:
    texts: list[tuple[str | None, str | None]] = [("a cafÃ© here", "a"), ("ein schönes Café", "a"), ("plain", "a")]
    assert prepare(texts).num_repaired == 1
    assert prepare(texts).splits["train"][0]["text"] == "a café here"
    assert prepare(texts, fix_encoding=False).num_repaired == 0
