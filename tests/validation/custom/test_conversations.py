from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ftcore.validation.custom import conversations
from ftcore.validation.expectations import to_frame
from ftcore.validation.surroundings import Surroundings

GOOD = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}"


def turns(*pairs: tuple[str, Any]) -> list[dict[str, Any]]:
    return [{"role": {"s": "system", "u": "user", "a": "assistant", "t": "tool"}.get(role, role), "content": content}
            for role, content in pairs]  # fmt: skip


def save_tokenizer(folder: Path, template: str | None) -> Path:
    """A byte-level tokenizer: loses nothing, one token per byte."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={char: n for n, char in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    fast.chat_template = template
    fast.save_pretrained(str(folder))
    return folder


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tokenizer(tmp_path_factory.mktemp("chat"), GOOD)


def look(expectation: Any, *values: Any, **around: Any) -> Any:
    rows = [{"id": f"r{n}", "text": "x", "completion": "y", "messages": value} for n, value in enumerate(values)]
    return expectation.look(to_frame(rows, "instruction"), Surroundings(task="instruction", **around))


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        (turns(("u", "hi"), ("a", "yes")), None),
        (turns(("s", "be kind"), ("u", "hi"), ("a", "yes"), ("u", "so"), ("a", "no")), None),
        (turns(("u", "sum"), ("a", "call"), ("t", "3"), ("a", "three")), None),
        (turns(("u", "hi")), "no answer at the end"),
        (turns(("a", "hi"), ("u", "yes")), "no answer at the end"),
        (turns(("u", "hi"), ("u", "still there?"), ("a", "yes")), "turns out of order"),
        (turns(("u", "hi"), ("s", "late"), ("a", "yes")), "turns out of order"),
        (turns(("u", "  "), ("a", "yes")), "empty turn"),
        (turns(("u", None), ("a", "yes")), "empty turn"),
        (turns(("bot", "hi"), ("a", "yes")), "unknown role"),
        ("no json", "no list of messages"),
        ([], "no list of messages"),
    ],
)
def test_turns(messages: Any, why: str | None) -> None:
    seen = look(conversations.ExpectColumnMessagesToTakeTurns(column="messages"), messages)
    assert seen.rows == ({0: why} if why else {})


def test_the_answers_end_must_be_within_reach(tokenizer: Path, tmp_path: Path) -> None:
    short, long = turns(("u", "hi"), ("a", "yes")), turns(("u", "hi"), ("a", "yes " * 50))
    expectation = conversations.ExpectColumnMessagesToReachEos(column="messages")
    assert look(expectation, short, long, tokenizer=tokenizer, max_length=60).rows == {1: "answer cut off"}
    endless = save_tokenizer(tmp_path / "endless", "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}")
    assert look(expectation, short, tokenizer=endless, max_length=60).rows == {0: "no end of sequence"}
    bare = save_tokenizer(tmp_path / "bare", None)
    assert "no chat template" in look(expectation, short, tokenizer=bare, max_length=60).observed
    assert "no tokenizer" in look(expectation, short).observed


def test_what_the_template_loses_is_seen(tokenizer: Path, tmp_path: Path) -> None:
    good, special = turns(("u", "na\u00efve  \u65e5\u672c"), ("a", "yes")), turns(("u", "hi </s>"), ("a", "yes"))
    expectation = conversations.ExpectColumnMessagesToSurviveTemplate(column="messages")
    assert look(expectation, good, special, tokenizer=tokenizer, max_length=60).rows == {1: "holds a special token"}
    last = save_tokenizer(tmp_path / "last", "{{ messages[-1].content }}</s>")
    assert look(expectation, good, tokenizer=last, max_length=60).rows == {0: "template drops a turn"}
    picky = save_tokenizer(tmp_path / "picky", "{{ raise_exception('no such role') }}")
    assert look(expectation, good, tokenizer=picky, max_length=60).rows == {0: "template cannot render it"}


def test_messages_reach_expectations_as_json_text() -> None:
    rows = [{"id": "r", "text": "x", "completion": "y", "messages": turns(("u", "\u00e9"), ("a", "y"))}]
    assert json.loads(to_frame(rows, "instruction")["messages"].iloc[0])[0]["content"] == "\u00e9"
