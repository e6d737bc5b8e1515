"""Labels to data versions: joined, cleaned, once."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from ftcore.data.reading import read_splits
from ftcore.data.versions import DataRepository, pull
from ftcore.errors import UsageError
from ftcore.monitoring.feedback import check_pattern, collect_feedback, in_user_columns, join
from ftcore.spec import ColumnsSpec, DataSpec

KNOWN = {"card_lost", "late bill"}


def answered(*ids: str) -> list[dict[str, Any]]:
    return [{"id": name, "at": f"t{name}", "text": f"text {name}", "group": "g", "source": "web"} for name in ids]


def labelled(*pairs: tuple[str, str]) -> list[dict[str, Any]]:
    return [{"id": name, "label": label} for name, label in pairs]


def test_last_label_wins_and_unknown_ids_are_counted() -> None:
    joined = join(labelled(("a", "late bill"), ("a", "card_lost"), ("x", "card_lost")), answered("a", "b"), KNOWN)
    assert [(row["id"], row["label"]) for row in joined.rows] == [("a", "card_lost")]
    assert joined.unknown == 1
    assert joined.rows[0] == {
        "id": "a", "text": "text a", "label": "card_lost", "group": "g", "timestamp": "ta", "source": "web",
    }  # fmt: skip


def test_labels_are_cleaned_towards_known_ones() -> None:
    pairs = [("a", "Card Lost"), ("b", " card-lost\u200b "), ("c", "LATE  BILL")]
    joined = join(labelled(*pairs), answered("a", "b", "c"), KNOWN)
    assert [row["label"] for row in joined.rows] == ["card_lost", "card_lost", "late bill"]


def test_a_new_label_waits_for_company() -> None:
    names = [f"n{number}" for number in range(5)]
    typo = labelled(*[(name, "tablet") for name in names[:4]], ("z", "card_lost"))
    joined = join(typo, answered(*names, "z"), KNOWN)
    assert ([row["id"] for row in joined.rows], joined.held_back) == (["z"], {"tablet": 4})
    enough = join(labelled(*[(name, "tablet") for name in names]), answered(*names), KNOWN)
    assert (len(enough.rows), enough.held_back) == (5, {})


def test_rows_without_group_and_source_get_their_own() -> None:
    joined = join(labelled(("a", "card_lost")), [{"id": "a", "at": "t", "text": "x"}], KNOWN, taken=set())
    assert (joined.rows[0]["group"], joined.rows[0]["source"]) == ("a", "feedback")
    assert join(labelled(("a", "card_lost")), answered("a"), KNOWN, taken={"a"}).rows == ()


def test_user_columns_and_patterns() -> None:
    row = in_user_columns({"id": "1", "text": "a", "label": "b"}, ColumnsSpec(text="utterance", label="intent"))
    assert row == {"id": "1", "utterance": "a", "intent": "b"}
    check_pattern("feedback-1.jsonl", DataSpec(files={"any": ["messages.jsonl", "feedback-*.jsonl"]}))
    with pytest.raises(UsageError, match="No pattern under data.files.train matches") as caught:
        check_pattern("feedback-1.jsonl", DataSpec(files={"train": "train.csv", "test": "test.csv"}))
    assert "feedback-*.jsonl" in caught.value.hint


@pytest.mark.functional
def test_labels_become_a_version_once(production: Any, messages: Callable[..., list[str]]) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    ids = production.serve(messages(40, seed=2))
    production.label([(identity, "tablet") for identity in ids[:19]])
    assert collect_feedback(spec, store, ledger, "test") is None  # one too few
    request, _ = ledger.open_request(spec.name, "drift", "k")
    production.label([(identity, "login") for identity in ids[18:30]], at="2099-01-03T00:00:00+00:00")

    ref = collect_feedback(spec, store, ledger, "test")
    assert ref is not None
    assert ref.reason == "feedback"
    assert ledger.current_data(spec.name) == ref
    opened = ledger.request(spec.name)
    assert opened is not None
    assert (opened.request_id, opened.data) == (request.request_id, ref)
    folder = store.root / "pulled"
    pull(ref, folder)
    rows = [json.loads(line) for line in (folder / "feedback-1.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["label"] for row in rows] == ["tablet"] * 18 + ["login"] * 12
    assert sum(len(split) for split in read_splits(folder, spec.data).values()) == 90

    assert collect_feedback(spec, store, ledger, "test") is None
    assert len(ledger.events(spec.name, kinds=("data_version",))) == 1
    production.label([(identity, "billing") for identity in production.serve(messages(20, seed=3), start=100)])
    second = collect_feedback(spec, store, ledger, "test")
    assert second is not None
    assert second.rev != ref.rev
    assert ledger.verify().ok


@pytest.mark.functional
def test_what_a_crash_left_unrecorded_is_recorded_later(
    production: Any, messages: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    ids = production.serve(messages(30, seed=2))
    production.label([(identity, "login") for identity in ids])

    def crash(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(ledger), "record_data_version", crash)
        with pytest.raises(KeyboardInterrupt):
            collect_feedback(spec, store, ledger, "test")
    assert ledger.current_data(spec.name) is None
    assert collect_feedback(spec, store, ledger, "test") is None  # no new rows, but the version is known now
    assert ledger.current_data(spec.name) == DataRepository(store.root, spec.name).newest()
