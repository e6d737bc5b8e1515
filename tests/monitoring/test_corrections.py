"""Corrected replies and ratings, matched to what was asked and written as the user's own data is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data.conversations import READERS
from ftcore.data.preferences import read_preferences
from ftcore.data.reading import write_jsonl
from ftcore.errors import UsageError
from ftcore.monitoring.corrections import join_replies, prefers, writable, writer_of
from ftcore.spec import ColumnsSpec, DataSpec, FineTuneSpec

TURNS = [
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": "hi"},
    {"role": "user", "content": "my card is lost"},
]


def answered(**more: Any) -> dict[str, Any]:
    return {"id": "a", "at": "t", "text": "where is it", "prediction": "soon", **more}


def test_the_last_reply_and_rating_win_and_labels_do_not_count() -> None:
    said = [
        {"id": "a", "reply": "later", "rating": "up"},
        {"id": "a", "label": "login"},
        {"id": "a", "reply": " It is\r\non its way.\u200b "},
        {"id": "x", "rating": "down"},
    ]
    joined = join_replies(said, [answered(source="web"), answered(id="b")])
    turns = [{"role": "user", "content": "where is it"}, {"role": "assistant", "content": "It is\non its way."}]
    assert joined.rows == (
        {
            "id": "a", "timestamp": "t", "source": "web", "group": "a", "text": "where is it",
            "completion": "It is\non its way.", "messages": turns,
        },
    )  # fmt: skip
    [rating] = joined.ratings
    assert (rating["rating"], rating["messages"][-1]["content"], joined.unknown) == ("up", "soon", 1)


def test_conversations_keep_their_turns_and_rows_come_again_only_when_changed() -> None:
    said = [{"id": "a", "reply": "we block it", "rating": "down"}]
    row = answered(messages=TURNS, text="hello\nhi\nmy card is lost", group="g")
    joined = join_replies(said, [row])
    assert joined.rows[0]["messages"] == [*TURNS, {"role": "assistant", "content": "we block it"}]
    assert (joined.rows[0]["group"], joined.ratings[0]["group"]) == ("g", "g")
    again = join_replies(said, [row], taken={"a": "we block it"}, rated={"a": "down"})
    assert (again.rows, again.ratings) == ((), ())
    assert len(join_replies(said, [row], taken={"a": "other"}, rated={"a": "up"}).ratings) == 1


def test_a_correction_is_a_pair_with_what_the_model_wrote(tmp_path: Path) -> None:
    said = [{"id": name, "reply": "we block it"} for name in ("a", "same", "empty")]
    answers = [answered(messages=TURNS, group="g"), answered(id="same", prediction="we block it \n"),
               answered(id="empty", prediction=" ")]  # fmt: skip
    joined = join_replies(said, answers)
    assert joined.pairs == (
        {"id": "a", "timestamp": "t", "group": "g", "prompt": TURNS, "chosen": "we block it", "rejected": "soon"},
    )
    assert join_replies(said, answers, taken={"a": "we block it"}).pairs == ()
    write_jsonl(tmp_path / "pairs.jsonl", list(joined.pairs))
    [read], faults = read_preferences(tmp_path / "pairs.jsonl", "dpo")
    assert (read["chosen"], read["rejected"], read["prompt"], faults.rows) == ("we block it", "soon", TURNS, [])


def test_an_empty_reply_can_be_corrected_but_not_rated() -> None:
    joined = join_replies([{"id": "a", "reply": "we block it", "rating": "down"}], [answered(prediction="")])
    assert (len(joined.rows), joined.ratings) == (1, ())


@given(st.sampled_from(["auto", "messages", "prompt_completion", "alpaca", "sharegpt", "turns"]), st.booleans())
def test_what_is_written_reads_back_as_the_same_turns(form: str, long: bool) -> None:
    row = join_replies([{"id": "a", "reply": "we block it"}], [answered(**({"messages": TURNS} if long else {}))]).rows
    write = writer_of(DataSpec.model_validate({"format": form}))
    if form == "alpaca" and long:
        fit, [reason] = writable(row, write)
        assert fit == () and "one question and one answer" in reason
        with pytest.raises(UsageError):
            write(row[0])
        return
    written = write(row[0])
    assert READERS["messages" if form == "auto" else form](written) == row[0]["messages"]
    assert (written["id"], written["group"], written["timestamp"]) == ("a", "a", "t")


def test_rows_have_the_users_column_names() -> None:
    data = DataSpec(format="prompt_completion", columns=ColumnsSpec(id="nr", prompt="question", completion="answer"))
    row = join_replies([{"id": "a", "reply": "we block it"}], [answered()]).rows[0]
    assert writer_of(data)(row) == {
        "nr": "a", "group": "a", "timestamp": "t", "question": "where is it", "answer": "we block it",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("prefer", "folder"),
    [
        (None, None),
        ({"data": ["ratings/*.jsonl"]}, "ratings"),
        ({"data": ["thumbs.jsonl", "ratings/feedback-*.jsonl"]}, "ratings"),
        ({"data": ["*.jsonl"]}, None),
        ({"data": ["ratings/*.jsonl"], "algorithm": "dpo"}, None),
        ({"data": ["old.jsonl", "pairs/*.jsonl"], "algorithm": "dpo"}, "pairs"),
        ({"data": ["pairs/*.jsonl"]}, None),
    ],
)
def test_which_feedback_of_production_is_learned_from(prefer: dict[str, Any] | None, folder: str | None) -> None:
    raw = {"name": "x", "task": "instruction", "base_model": {"name": "m"}, "method": {"prefer": prefer}}
    assert prefers(FineTuneSpec.model_validate(raw)) == folder
