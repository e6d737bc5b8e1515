from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.data import converting
from ftcore.data.converting import WRITERS, convert_file, template_writer
from ftcore.data.reading import GENERATION_FORMATS, read_file
from ftcore.errors import BaseModelError, DataRefused, UsageError
from ftcore.spec import ColumnsSpec

COLUMNS = ColumnsSpec()
SHORT = [{"role": "user", "content": "Where is it?"}, {"role": "assistant", "content": "On its way."}]
LONG = [{"role": "system", "content": "Be kind."}, *SHORT, {"role": "user", "content": "Danke,\nschön"},
        {"role": "assistant", "content": "Bitte."}]  # fmt: skip
TOOL = [SHORT[0], SHORT[1], {"role": "tool", "content": "42"}, {"role": "assistant", "content": "It is 42."}]


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def read(path: Path) -> list[list[dict[str, str]]]:
    rows, faults = read_file(path, COLUMNS, formats=GENERATION_FORMATS)
    assert not faults.count
    return [row["messages"] for row in rows]


@pytest.mark.parametrize("to", ["messages", "prompt_completion", "sharegpt"])
def test_formats_that_hold_everything(tmp_path: Path, to: str) -> None:
    source = write(tmp_path / "in.jsonl", *({"messages": turns} for turns in (SHORT, LONG, TOOL)))
    done = convert_file(source, tmp_path / "out.jsonl", WRITERS[to], COLUMNS)
    assert (done.format, done.num_rows, done.malformed, done.kept) == ("messages", 3, [], ())
    assert read(tmp_path / "out.jsonl") == [SHORT, LONG, TOOL]


@given(
    st.lists(st.tuples(st.text(min_size=1), st.text(min_size=1)), min_size=1, max_size=3),
    st.sampled_from(sorted(WRITERS)),
)
def test_what_is_written_reads_back_as_the_same_conversation(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]], to: str
) -> None:
    folder = tmp_path_factory.mktemp("convert")
    turns = [
        {"role": role, "content": text}
        for pair in pairs
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    source = write(folder / "in.jsonl", {"messages": turns})
    try:
        convert_file(source, folder / "out.jsonl", WRITERS[to], COLUMNS, max_left_out=0.0)
    except DataRefused:
        assert not (folder / "out.jsonl").exists()
        return
    before, after = read(source), read(folder / "out.jsonl")
    assert [turn["content"].strip() for turn in after[0]] == [turn["content"].strip() for turn in before[0]]


def test_what_a_format_cannot_hold_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    rows = [{"id": name, "messages": turns} for name, turns in (("s", SHORT), ("l", LONG), ("t", TOOL))]
    source = write(tmp_path / "in.jsonl", *rows)
    with pytest.raises(DataRefused) as error:
        convert_file(source, tmp_path / "out.jsonl", WRITERS["alpaca"], COLUMNS)
    assert [line.partition(":")[0] for line in error.value.details] == ["l", "t"]
    assert "2 of 3 rows" in error.value.message
    with pytest.raises(
        DataRefused, match="t: ### Human: text holds only system, user and assistant turns; saw a tool turn"
    ):
        convert_file(source, tmp_path / "out.jsonl", WRITERS["turns"], COLUMNS)
    assert "schön" not in str(error.value)
    assert list(tmp_path.iterdir()) == [source]


def test_a_format_that_would_lose_a_turn_is_caught_by_reading_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write(tmp_path / "in.jsonl", {"messages": LONG})
    loses = lambda row: {"messages": row["messages"][1:]}  # noqa: E731
    monkeypatch.setitem(converting.WRITERS, "messages", loses)
    with pytest.raises(DataRefused, match="in.jsonl:0: Reading it back would give other turns"):
        convert_file(source, tmp_path / "out.jsonl", loses, COLUMNS)


def test_other_readers_other_names_and_columns_beside(tmp_path: Path) -> None:
    source = tmp_path / "in.csv.gz"
    source.write_bytes(gzip.compress(b"key,question,answer,group,more\nk1,Where?,There.,c1,x\nk2,Who?,Me.,,y\n"))
    named = ColumnsSpec(id="key", prompt="question", completion="answer")
    done = convert_file(source, tmp_path / "out.jsonl", WRITERS["alpaca"], named)
    assert (done.format, done.kept) == ("prompt_completion", ("id", "group"))
    assert [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()] == [
        {"id": "k1", "group": "c1", "instruction": "Where?", "input": "", "output": "There."},
        {"id": "k2", "instruction": "Who?", "input": "", "output": "Me."},
    ]


def test_turns_as_plain_text(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"messages": SHORT}, {"messages": LONG})
    convert_file(source, tmp_path / "out.txt", WRITERS["turns"], COLUMNS)
    assert (
        (tmp_path / "out.txt")
        .read_text()
        .startswith("### Human: Where is it?\n### Assistant: On its way.\n\n### System: Be kind.\n### Human: Where")
    )
    assert read(tmp_path / "out.txt") == [SHORT, LONG]


def test_malformed_rows_are_left_out_within_a_budget(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"messages": SHORT}, {"id": "bad", "messages": SHORT[:1]}, {"messages": LONG})
    with pytest.raises(DataRefused, match=r"1 of 3 rows \(33.33%\) are malformed"):
        convert_file(source, tmp_path / "out.jsonl", WRITERS["messages"], COLUMNS)
    done = convert_file(source, tmp_path / "out.jsonl", WRITERS["messages"], COLUMNS, max_left_out=0.4)
    assert ([fault.id for fault in done.malformed], done.num_rows) == (["bad"], 2)


def test_mistakes(tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", {"messages": SHORT})
    for target, said in ((source, "is there already"), (tmp_path / "out.csv", "saw the ending '.csv', wanted .jsonl"),
                         (tmp_path / "out.txt", "wanted .jsonl")):  # fmt: skip
        with pytest.raises(UsageError, match=said):
            convert_file(source, target, WRITERS["messages"], COLUMNS)
    with pytest.raises(UsageError, match="No file at"):
        convert_file(tmp_path / "none.csv", tmp_path / "out.jsonl", WRITERS["messages"], COLUMNS)
    labelled = write(tmp_path / "labelled.jsonl", {"text": "x", "label": "a"})
    with pytest.raises(DataRefused, match="wanted those of a format"):
        convert_file(labelled, tmp_path / "out.jsonl", WRITERS["messages"], COLUMNS)
    with pytest.raises(DataRefused, match="saw 0 rows"):
        convert_file(write(tmp_path / "empty.jsonl"), tmp_path / "out.jsonl", WRITERS["messages"], COLUMNS)


def test_a_chat_template_renders_or_names_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def render(_: object, messages: list[dict[str, str]]) -> str:
        if messages[0]["role"] == "system":
            raise BaseModelError("The chat template refuses a conversation (TemplateError); saw the turns system user.")
        return "".join(f"<{turn['role']}>{turn['content']}" for turn in messages)

    monkeypatch.setattr("ftcore.data.templates.load_chat_tokenizer", lambda folder: folder)
    monkeypatch.setattr("ftcore.data.templates.render_chat", render)
    source = write(tmp_path / "in.jsonl", {"messages": SHORT})
    convert_file(source, tmp_path / "out.jsonl", template_writer(tmp_path), COLUMNS)
    assert json.loads((tmp_path / "out.jsonl").read_text()) == {"text": "<user>Where is it?<assistant>On its way."}
    write(source, {"messages": LONG})
    with pytest.raises(DataRefused, match="in.jsonl:0: The chat template refuses"):
        convert_file(source, tmp_path / "more.jsonl", template_writer(tmp_path), COLUMNS)
