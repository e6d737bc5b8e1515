"""The server: bounded input, answers on disk before they are sent, and a swap of models that no request notices."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from ftcore.errors import IntegrityError
from ftcore.ledger import Head, Ledger, open_ledger
from ftcore.serving.app import create_app
from ftcore.serving.log import feedback_folder, predictions_folder, read_log
from ftcore.serving.models import Model
from ftcore.store import Store
from tests.serving.tiny_model import LABELS, load_tiny, save_tiny

SPEC = "support"


def load(head: Head, store: Store) -> Model:
    return Model(load_tiny(store.resolve(head.package_uri) / "model"), fix_encoding=True)


def promote(ledger: Ledger, store: Store, seed: int) -> str:
    """Make a tiny model and have the ledger name it champion; returns its digest."""
    uri = f"packages/{seed}"
    digest = save_tiny(store.root / uri / "model", seed)
    set_head(ledger, uri, digest)
    return digest


def set_head(ledger: Ledger, uri: str, digest: str) -> None:
    head = ledger.head(SPEC)
    fence = ledger.issue_fence(SPEC)
    promotion = ledger.prepare(
        spec=SPEC, model_digest=digest, verdict_digest="v", expected_digest=head.model_digest if head else None,
        expected_seq=head.seq if head else 0, package_uri=uri, fence=fence, actor="test", reason="test",
    )  # fmt: skip
    ledger.commit(promotion.promotion_id, fence)


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


@pytest.fixture
def ledger(store: Store) -> Ledger:
    return open_ledger()


@pytest.fixture
def client(store: Store, ledger: Ledger) -> Iterator[TestClient]:
    promote(ledger, store, 1)
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        yield client


def wait_for(check: object, what: str) -> None:
    deadline = time.monotonic() + 10
    while not check():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"{what} did not happen within 10 s"
        time.sleep(0.02)


def test_answers_are_logged_before_they_are_sent(client: TestClient, store: Store, ledger: Ledger) -> None:
    answer = client.post(
        f"/v1/{SPEC}/predict",
        json={"texts": ["where  is the\u200b parcel", "reset my password"], "source": "web", "group": "c1"},
    )
    assert answer.status_code == 200
    body = answer.json()
    rows, dropped = read_log(predictions_folder(store.root, SPEC))
    assert dropped == 0
    assert [row["id"] for row in rows] == [shown["id"] for shown in body["predictions"]]
    head = ledger.head(SPEC)
    assert head is not None
    assert body["model_digest"] == head.model_digest == rows[0]["model_digest"]
    assert rows[0]["text"] == "where  is the\u200b parcel"  # as it was sent
    assert (rows[0]["source"], rows[0]["group"], rows[0]["num_chars"], rows[0]["num_tokens"]) == ("web", "c1", 19, 6)
    for row, shown in zip(rows, body["predictions"], strict=True):
        assert row["prediction"] == shown["label"]
        assert row["prediction"] in LABELS
        assert 1 / 3 < row["confidence"] == shown["confidence"] <= 1


def test_feedback_is_on_disk_when_accepted(client: TestClient, store: Store) -> None:
    shown = client.post(f"/v1/{SPEC}/predict", json={"text": "help"}).json()["predictions"][0]
    one = client.post(f"/v1/{SPEC}/feedback", json={"id": shown["id"], "label": " a new class ", "source": "agent"})
    two = client.post(f"/v1/{SPEC}/feedback", json={"items": [{"id": shown["id"], "label": "login"}]})
    assert (one.status_code, one.json(), two.status_code) == (202, {"accepted": 1}, 202)
    rows, _ = read_log(feedback_folder(store.root, SPEC))
    assert [row["label"] for row in rows] == ["a new class", "login"]


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({}, "exactly one of `text`, `texts`, `items`"),
        ({"text": "a", "texts": ["b"]}, "exactly one of"),
        ({"texts": []}, "at least 1 item"),
        ({"texts": ["x"] * 257}, "at most 256 items"),
        ({"text": "x" * 20_001}, "at most 20000 characters"),
        ({"text": "   "}, "is empty"),
        ({"texts": ["good", ""]}, "texts.1"),
        ({"text": 7}, "valid string"),
        ({"text": "a", "txt": "b"}, "Extra inputs"),
        ({"texts": "not a list"}, "valid list"),
        ([], "dictionary"),
    ],
)
def test_faulty_input_is_explained(client: TestClient, body: object, part: str) -> None:
    answer = client.post(f"/v1/{SPEC}/predict", json=body)
    assert answer.status_code == 422
    assert part in answer.json()["error"]["message"]


def test_half_a_surrogate_pair_and_broken_json_are_refused(client: TestClient, store: Store) -> None:
    headers = {"content-type": "application/json"}
    for body in (b'{"text": "\\ud800"}', b'{"text": "a', b"\xff\xfe", b"", b'{"text": "a", "source": "\\udfff"}'):
        answer = client.post(f"/v1/{SPEC}/predict", content=body, headers=headers)
        assert answer.status_code in (400, 422), body
        assert answer.json()["error"]["message"]
    assert read_log(predictions_folder(store.root, SPEC)) == ([], 0)
    assert client.post(f"/v1/{SPEC}/predict", json={"text": "odd \x00 but text \U0001f600"}).status_code == 200


def test_huge_bodies_are_refused_announced_or_not(client: TestClient) -> None:
    def stream() -> Iterator[bytes]:
        for _ in range(12):
            yield b"x" * (1 << 20)

    announced = client.post(f"/v1/{SPEC}/predict", content=b"x" * (9 << 20))
    chunked = client.post(f"/v1/{SPEC}/predict", content=stream())
    assert (announced.status_code, chunked.status_code) == (413, 413)
    assert "larger than 8 MiB" in chunked.json()["error"]["message"]


def test_unknown_spec_names_those_served(client: TestClient) -> None:
    answer = client.get("/v1/other/version")
    assert answer.status_code == 404
    assert SPEC in answer.json()["error"]["message"]


def test_faulty_feedback_is_refused(client: TestClient, store: Store) -> None:
    good = "0" * 32
    for body in (
        {"id": good},
        {"id": "../x", "label": "a"},
        {"id": good, "label": " "},
        {"items": []},
        {"id": good, "label": "x" * 201},
        {"id": good, "label": "a\x00b"},
        {"id": good, "label": "two\nlines"},
        {"id": good, "label": "\u200b"},
        {"items": [{"id": good, "label": "a\ufffdb"}]},
    ):
        assert client.post(f"/v1/{SPEC}/feedback", json=body).status_code == 422, body
    assert read_log(feedback_folder(store.root, SPEC)) == ([], 0)


def test_a_classifier_takes_neither_conversations_nor_replies(client: TestClient) -> None:
    turns = [{"role": "user", "content": "help"}]
    answers = [
        client.post(f"/v1/{SPEC}/predict", json=body)
        for body in ({"messages": turns}, {"items": [{"messages": turns}]})
    ]
    answers.append(client.post(f"/v1/{SPEC}/feedback", json={"id": "0" * 32, "reply": "we help"}))
    for answer in answers:
        assert answer.status_code == 422
        assert "the model of this spec names classes" in answer.json()["error"]["message"]


def test_no_champion_yet_then_the_first_one(store: Store, ledger: Ledger) -> None:
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        answer = client.post(f"/v1/{SPEC}/predict", json={"text": "hello"})
        assert answer.status_code == 503
        assert "no model has been promoted yet" in answer.json()["error"]["message"]
        assert client.get("/health").status_code == 503
        digest = promote(ledger, store, 1)
        wait_for(lambda: client.get("/health").status_code == 200, "loading the first champion")
        assert client.get(f"/v1/{SPEC}/version").json()["model_digest"] == digest
        assert client.post(f"/v1/{SPEC}/predict", json={"text": "hello"}).status_code == 200


def test_all_specs_are_served_as_they_get_champions(store: Store, ledger: Ledger) -> None:
    with TestClient(create_app([], store=store, ledger=ledger, load=load, poll_s=0.05)) as client:
        assert client.get(f"/v1/{SPEC}/version").status_code == 404
        promote(ledger, store, 1)
        wait_for(lambda: client.get(f"/v1/{SPEC}/version").status_code == 200, "serving the new spec")


def test_items_carry_their_own_group_and_source(client: TestClient, store: Store) -> None:
    items = [{"text": "lost card", "group": "c1", "source": "web"}, {"text": "late bill", "group": "c2"}]
    answer = client.post(f"/v1/{SPEC}/predict", json={"items": items})
    assert len(answer.json()["predictions"]) == 2
    rows, _ = read_log(predictions_folder(store.root, SPEC))
    assert sorted((row["text"], row["group"], row.get("source")) for row in rows) == [
        ("late bill", "c2", None),
        ("lost card", "c1", "web"),
    ]
    assert client.post(f"/v1/{SPEC}/predict", json={"items": items, "group": "c3"}).status_code == 422


def test_nothing_to_serve_is_not_healthy(store: Store, ledger: Ledger) -> None:
    with TestClient(create_app([], store=store, ledger=ledger, load=load)) as client:
        assert client.get("/health").status_code == 503


def test_swaps_under_load_lose_no_request(client: TestClient, store: Store, ledger: Ledger) -> None:
    """Clients ask without pause while three champions follow each other: no error, every model takes part, no batch mixes."""
    seen: list[tuple[int, str]] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answer = client.post(f"/v1/{SPEC}/predict", json={"texts": ["lost card", "late bill"]})
            seen.append((answer.status_code, answer.json().get("model_digest", "")))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    digests = [client.get(f"/v1/{SPEC}/version").json()["model_digest"]]
    for seed in (2, 3, 4):
        digest = promote(ledger, store, seed)
        wait_for(lambda wanted=digest: seen and seen[-1][1] == wanted, "the swap")
        digests.append(digest)
    stop.set()
    for thread in threads:
        thread.join()
    assert {status for status, _ in seen} == {200}
    assert {digest for _, digest in seen} == set(digests)
    rows, dropped = read_log(predictions_folder(store.root, SPEC))
    assert (len(rows), dropped) == (2 * len(seen), 0)


def test_a_champion_that_cannot_be_loaded_leaves_the_old_one(client: TestClient, store: Store, ledger: Ledger) -> None:
    before = client.get(f"/v1/{SPEC}/version").json()["model_digest"]
    damaged = store.root / "packages" / "2" / "model"
    digest = save_tiny(damaged, 2)
    weights = damaged / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    set_head(ledger, "packages/2", digest)
    wait_for(lambda: client.get(f"/v1/{SPEC}/version").json()["fault"], "noticing the damaged champion")
    answer = client.post(f"/v1/{SPEC}/predict", json={"text": "help"})
    assert (answer.status_code, answer.json()["model_digest"]) == (200, before)
    assert client.get("/health").status_code == 200
    (alert,) = ledger.pending_alerts()
    assert alert.severity == "critical"
    assert "cannot load the champion" in alert.title
    assert "manifest" in alert.body


def test_no_exception_of_loading_ends_the_following(
    store: Store, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ftcore.serving.champion.RETRY_POLLS", 2)
    full = threading.Event()

    def crowded(head: Head, store: Store) -> Model:
        if full.is_set():
            raise RuntimeError("CUDA out of memory.\nTried to allocate 2 GiB")
        return load(head, store)

    before = promote(ledger, store, 1)
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=crowded, poll_s=0.05)) as client:

        def state() -> dict[str, object]:
            return dict(client.get("/health").json()["specs"][SPEC])

        full.set()
        after = promote(ledger, store, 2)
        wait_for(lambda: state()["fault"], "noticing that the champion does not fit")
        assert state()["fault"] == (
            f"champion {after[:12]} cannot be loaded: RuntimeError: CUDA out of memory. Tried to allocate 2 GiB"
        )
        answer = client.post(f"/v1/{SPEC}/predict", json={"text": "help"})
        assert (answer.status_code, answer.json()["model_digest"]) == (200, before)
        full.clear()
        wait_for(lambda: state()["model_digest"] == after, "the second attempt")
        assert state()["fault"] == ""
    assert "CUDA out of memory" in caplog.text


def test_rollback_to_what_is_loaded_needs_no_second_load(store: Store, ledger: Ledger) -> None:
    loads: list[str] = []

    def counting(head: Head, store: Store) -> Model:
        loads.append(head.model_digest)
        if len(loads) > 1:
            raise IntegrityError("broken")
        return load(head, store)

    digest = promote(ledger, store, 1)
    with TestClient(create_app([SPEC], store=store, ledger=ledger, load=counting, poll_s=0.05)) as client:
        set_head(ledger, "packages/9", "9" * 64)
        wait_for(lambda: client.get(f"/v1/{SPEC}/version").json()["fault"], "the failed load")
        set_head(ledger, "packages/1", digest)
        wait_for(lambda: not client.get(f"/v1/{SPEC}/version").json()["fault"], "the rollback")
        head = ledger.head(SPEC)
        assert head is not None
        assert client.get(f"/v1/{SPEC}/version").json()["seq"] == head.seq
    assert len(loads) == 2
