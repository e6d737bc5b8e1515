"""A model that writes replies, over HTTP: texts and conversations in, replies out, and what people say of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ftcore.ledger import Head, Ledger, open_ledger
from ftcore.models.devices import Device
from ftcore.models.generation import Generator
from ftcore.models.loading import load_model, save_model
from ftcore.serving.app import create_app
from ftcore.serving.log import feedback_folder, is_reply, predictions_folder, read_log
from ftcore.serving.models import ReplyModel
from ftcore.spec import GenerationSpec
from ftcore.store import Store
from tests.serving.test_app import SPEC, set_head
from tests.tiny_families import build

SETTINGS = GenerationSpec(max_new_tokens=6)
ASKED = [{"role": "user", "content": "my card is lost"}]
STRICT = (
    "<s>{% for turn in messages %}{% if turn['role'] == 'system' %}{{ raise_exception('no system turns') }}{% endif %}"
    "<|{{ turn['role'] }}|>{{ turn['content'] }}</s>{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def load(head: Head, store: Store) -> ReplyModel:
    loaded = load_model(store.resolve(head.package_uri) / "model")
    return ReplyModel(Generator(loaded, Device("cpu", "fp32", 1), 32, 8, SETTINGS), True, SETTINGS.max_new_tokens)


def promote(ledger: Ledger, store: Store, template: str | None = None, family: str = "llama") -> None:
    model, tokenizer = build(family)
    tokenizer.chat_template = template or tokenizer.chat_template
    set_head(ledger, "packages/1", save_model(model, tokenizer, store.root / "packages" / "1" / "model"))


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def client(store: Store) -> Iterator[TestClient]:
    ledger = open_ledger()
    promote(ledger, store)
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        yield client


def test_replies_are_logged_with_what_monitoring_needs(client: TestClient, store: Store) -> None:
    body = client.post(f"/v1/{SPEC}/predict", json={"text": "where\u200b is my card", "source": "web"}).json()
    turns = [{"role": "system", "content": "sorry"}, *ASKED]
    more = client.post(f"/v1/{SPEC}/predict", json={"messages": turns, "group": "c1"}).json()
    [shown, second] = [*body["predictions"], *more["predictions"]]
    assert set(shown) == {"id", "reply", "num_tokens", "stopped", "confidence", "model_digest"}
    rows, _ = read_log(predictions_folder(store.root, SPEC))
    assert all(map(is_reply, rows))
    assert [(row["id"], row["prediction"]) for row in rows] == [(one["id"], one["reply"]) for one in (shown, second)]
    assert (rows[0]["text"], rows[0]["num_chars"], rows[0]["source"]) == ("where\u200b is my card", 16, "web")
    assert (rows[1]["text"], rows[1]["messages"], rows[1]["group"]) == ("sorry\nmy card is lost", turns, "c1")
    for row in rows:
        assert 0 < row["confidence"] < 1 and 1 <= row["num_answer_tokens"] <= 6
        assert row["num_answer_chars"] == len(row["prediction"])
        assert row["stopped"] or row["num_answer_tokens"] == 6
    assert client.get(f"/v1/{SPEC}/version").json()["max_new_tokens"] == 6


def test_a_text_and_the_same_single_turn_get_the_same_reply(client: TestClient) -> None:
    bodies = [{"text": "my card is lost"}, {"messages": ASKED}, {"items": [{"messages": ASKED}]}]
    answers = [client.post(f"/v1/{SPEC}/predict", json=body).json()["predictions"][0] for body in bodies]
    assert len({(answer["reply"], round(answer["confidence"], 5)) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"messages": []}, "at least 1 item"),
        ({"messages": ASKED, "text": "a"}, "exactly one of"),
        ({"items": [{"text": "a", "messages": ASKED}]}, "exactly one of `text`, `messages`"),
        ({"items": [{"group": "c"}]}, "exactly one of `text`, `messages`"),
        ({"messages": [{"role": "robot", "content": "a"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": "a", "name": "b"}]}, "Extra inputs"),
        ({"messages": [{"role": "user", "content": " "}]}, "is empty"),
        ({"messages": [*ASKED, {"role": "assistant", "content": "a"}]}, "saw the role assistant last"),
        ({"messages": [*ASKED, *ASKED]}, "saw a user turn after user"),
        ({"messages": [{"role": "user", "content": "x" * 12_000}, {"role": "assistant", "content": "a"},
                       {"role": "user", "content": "x" * 12_000}]}, "more than 20000 characters"),
        ({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}] * 129}, "at most 256 items"),
    ],
)  # fmt: skip
def test_faulty_conversations_are_explained(client: TestClient, body: object, part: str) -> None:
    answer = client.post(f"/v1/{SPEC}/predict", json=body)
    assert answer.status_code == 422
    assert part in answer.json()["error"]["message"]


def test_turns_that_the_template_refuses_fail_alone(store: Store) -> None:
    ledger = open_ledger()
    promote(ledger, store, STRICT)
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        refused = client.post(
            f"/v1/{SPEC}/predict", json={"messages": [{"role": "system", "content": "sorry"}, *ASKED]}
        )
        assert refused.status_code == 422
        assert "chat template refuses" in refused.json()["error"]["message"]
        assert client.post(f"/v1/{SPEC}/predict", json={"messages": ASKED}).status_code == 200
    assert len(read_log(predictions_folder(store.root, SPEC))[0]) == 1


def test_feedback_is_a_better_reply_or_a_rating(client: TestClient, store: Store) -> None:
    shown = client.post(f"/v1/{SPEC}/predict", json={"text": "help"}).json()["predictions"][0]
    url, identity = f"/v1/{SPEC}/feedback", shown["id"]
    for body in ({"reply": "we block it"}, {"rating": "up"}, {"reply": "we block it", "rating": "down", "source": "a"}):
        assert client.post(url, json={"id": identity, **body}).status_code == 202
    assert client.post(url, json={"items": [{"id": identity, "rating": "down"}]}).status_code == 202
    faulty = [{"label": "login"}, {"rating": "good"}, {"reply": ""}, {"reply": "a", "label": "b"}, {}]
    for body in faulty:
        assert client.post(url, json={"id": identity, **body}).status_code == 422, body
    assert "writes replies" in client.post(url, json={"id": identity, "label": "login"}).json()["error"]["message"]
    rows, _ = read_log(feedback_folder(store.root, SPEC))
    assert [(row.get("reply"), row.get("rating")) for row in rows] == [
        ("we block it", None), (None, "up"), ("we block it", "down"), (None, "down"),
    ]  # fmt: skip


def test_an_encoder_decoder_answers_texts(store: Store) -> None:
    ledger = open_ledger()
    promote(ledger, store, family="t5")
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        answer = client.post(f"/v1/{SPEC}/predict", json={"texts": ["my card", "the refund is late"]})
        assert [isinstance(one["reply"], str) for one in answer.json()["predictions"]] == [True, True]
