"""The replies are what their maker says: the same bytes again, answers that follow from the message, faults that are there."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ftcore.data.conversations import check_messages, generation_row
from ftcore.data.leakage.find import find_leaks
from ftcore.data.leakage.leaks import leaked_fraction
from ftcore.data.splitting import assign_splits
from ftcore.data.versions import pull
from ftcore.records import DataRef
from ftcore.spec import LeakageSpec
from scripts.make_example_data.compose import Message, Mix, load, message
from scripts.make_example_data.grammar import heard
from scripts.make_example_data.replies.__main__ import INTENTS, main
from scripts.make_example_data.replies.answers import POLICIES, case_of, known_facts, reply
from scripts.make_example_data.replies.flaws import FLAWS
from scripts.make_example_data.replies.misread import misread
from scripts.make_example_data.waves import WEIGHTS
from scripts.make_example_data.words import HOUSEHOLD, ITEMS, Customer, words

Row = dict[str, Any]
ABOUT = ["group", "timestamp", "source"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Path:
    """The data as a fresh clone gets it."""
    target = tmp_path_factory.mktemp("replies") / "replies"
    pull(DataRef(repo=str(request.config.rootpath), rev="HEAD", path="replies"), target)
    return target


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[str, list[Row]]:
    return {
        path.stem: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for path in folder.glob("*.jsonl")
    }


@pytest.fixture(scope="module")
def rows(files: dict[str, list[Row]]) -> list[Row]:
    """Canonical rows of the conversations."""
    return [row | generation_row(check_messages(row["messages"])) for row in files["conversations"]]


def test_the_maker_writes_the_versioned_bytes(folder: Path, tmp_path: Path) -> None:
    main(["--out", str(tmp_path)])
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_sizes_columns_and_customers(files: dict[str, list[Row]], example_data: Path) -> None:
    assert {name: len(found) for name, found in files.items()} == {
        "conversations": 8000,
        "pairs": 600,
        "ratings": 1000,
    }
    columns = {
        "conversations": ["messages"],
        "pairs": ["prompt", "chosen", "rejected"],
        "ratings": ["prompt", "completion", "label"],
    }
    for name, found in files.items():
        more = [] if name == "conversations" else ["fault"]
        assert all(list(row) == ["id", *columns[name], *ABOUT, *more] for row in found)
    customers = [{row["group"] for row in found} for found in files.values()]
    intents = {json.loads(line)["group"] for path in example_data.glob("*.jsonl") for line in path.open()}
    assert len(set.union(*customers, intents)) == sum(map(len, customers)) + len(intents)


def test_the_holdout_is_large_and_hardly_leaks(rows: list[Row]) -> None:
    splits = assign_splits(rows, "group", 0.1, 0.1)
    train, test = ([row for row, at in zip(rows, splits, strict=True) if at == part] for part in ("train", "test"))
    assert len(test) >= 750 and len(train) >= 6000
    assert leaked_fraction(find_leaks(train, test, LeakageSpec().rules), len(test)) <= 0.04


def test_a_reply_invents_no_order_and_copies_what_was_said(rows: list[Row]) -> None:
    cited = [(re.findall(r"\b\d{5}\b", row["completion"]), row["text"]) for row in rows]
    assert all(number in text for numbers, text in cited for number in numbers)
    assert sum(bool(numbers) for numbers, _ in cited) >= 400
    assert all(len({row["completion"] for row in rows if key in row["completion"]}) > 5 for key in ("Hello,", "sorry"))
    most = Counter(row["completion"] for row in rows).most_common(1)[0][1]
    assert most <= 0.03 * len(rows)  # no answer that fits a large share


def test_faults_are_what_they_say(files: dict[str, list[Row]]) -> None:
    for name, text in (("pairs", "rejected"), ("ratings", "completion")):
        flawed = [row for row in files[name] if row["fault"]]
        assert {row["fault"] for row in flawed} == set(FLAWS)
        numbers = [row for row in flawed if row["fault"] == "made_up_number"]
        named = [(set(re.findall(r"\d+", row[text])), row) for row in numbers]
        assert all(found - set(re.findall(r"\d+", row["prompt"])) for found, row in named)
        assert all(len(row[text]) < 60 for row in flawed if row["fault"] == "curt")
    assert all(row["chosen"] != row["rejected"] for row in files["pairs"])
    slips = sum(row["label"] == bool(row["fault"]) for row in files["ratings"])
    assert 20 <= slips <= 80


def test_facts_are_those_of_the_ask_not_of_what_is_said_in_passing() -> None:
    bank, writer = load("delivery.yaml", "money.yaml", "frames.yaml"), customer()
    for _ in range(60):
        made = message(bank, "wrong_item", writer, Mix(aside_before=1.0, either=0.0))
        assert heard(made.facts, made.ask) == made.facts
    given = [message(bank, "wrong_item", writer, Mix(either=0.0, order=1.0)) for _ in range(20)]
    assert all("ord" in made.facts for made in given)


def customer() -> Customer:
    return Customer.draw(1, random.Random(1), words(ITEMS), words(HOUSEHOLD))


def asked(text: str, label: str, **facts: str) -> Message:
    return Message(text, label, "email", text, facts)


def answer(message: Message) -> str:
    return str(reply(message, customer()))


def test_every_intent_has_a_policy_for_anything() -> None:
    assert set(POLICIES) == set(INTENTS) <= set(WEIGHTS)
    for label in POLICIES:
        assert answer(asked("xyz", label)).startswith("Hello")
        assert case_of(asked("xyz", label)) == POLICIES[label]["cases"][-1]


def test_the_reply_follows_the_message() -> None:
    given = answer(asked("Where is order 12345?", "track_order", ord="order 12345"))
    assert "rder 12345" in given and "order number" not in given
    assert "your order number" in answer(asked("Where is it?", "track_order"))
    assert "label" in answer(asked("I lost the return slip", "return_item"))
    assert "collect" in answer(asked("Please pick up the return", "return_item"))
    assert "upset" in answer(asked("LATE!!", "track_order"))


def test_only_what_a_reader_sees_is_a_fact() -> None:
    # A transcript loses the point of an amount; a slip of the finger spoils a street.
    message = asked("i paid 4550 twice, 5 mill lane", "double_charge", amt="£45.50", street="5 Mill Lane", ord="#12345")
    assert known_facts(message, customer()) == {"street": "5 Mill Lane"}
    assert "amt" not in known_facts(asked("45 twice", "double_charge", amt="45"), customer())


def test_a_reader_who_misses_something_writes_another_reply() -> None:
    message = asked("Where is order 48213? When will it come?", "track_order", ord="order 48213")
    found = misread(message, customer())
    whole = found["everything understood"]
    assert whole == answer(message) and "We looked up order 48213. Orders arrive within three working days" in whole
    without = found["no fact but the name"]
    assert "48213" not in without and "Orders arrive within three working days" in without and "order number" in without
    last = found["the last case of the intent"]
    assert "48213" in last and "It leaves our warehouse" in last
    assert "48213" in found["another intent"] and "We looked up" not in found["another intent"]


def test_the_same_case_and_facts_give_the_same_words(rows: list[Row]) -> None:
    """So that an exact match can be asked for: without numbers, names and goods few replies are left."""
    bare = {re.sub(r"order \d{5}|Hello [^,]+,", "", row["completion"]) for row in rows if "rder " in row["completion"]}
    assert len(bare) < len(rows) / 4
