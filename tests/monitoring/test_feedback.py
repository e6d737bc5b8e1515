"""Labels to data versions: joined, cleaned, once."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ftcore.cli.feedback import collect
from ftcore.data.reading import read_splits
from ftcore.data.versions import DataRepository, pull
from ftcore.errors import UsageError
from ftcore.monitoring.feedback import check_pattern, collect_feedback
from ftcore.monitoring.labels import in_user_columns, join
from ftcore.serving.log import append_rows, feedback_folder, predictions_folder
from ftcore.spec import ColumnsSpec, DataSpec, FineTuneSpec
from ftcore.validation.splits import judge_splits
from ftcore.validation.suites import load_suite

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


def test_a_row_without_group_gets_its_own_and_an_unknown_source_stays_unknown() -> None:
    joined = join(labelled(("a", "card_lost")), [{"id": "a", "at": "t", "text": "x"}], KNOWN, taken={})
    assert joined.rows == ({"id": "a", "text": "x", "label": "card_lost", "group": "a", "timestamp": "t"},)


def test_a_row_comes_again_only_with_another_label() -> None:
    taken = {"a": "card_lost", "b": "card_lost"}
    joined = join(labelled(("a", "Card Lost"), ("b", "late bill")), answered("a", "b"), KNOWN, taken)
    assert [(row["id"], row["label"]) for row in joined.rows] == [("b", "late bill")]


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
    assert collect_feedback(spec, store, ledger, "test").data is None  # one too few
    request, _ = ledger.open_request(spec.name, "drift", "k")
    production.label([(identity, "login") for identity in ids[18:30]], at="2099-01-03T00:00:00+00:00")

    ref = collect_feedback(spec, store, ledger, "test").data
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

    assert collect_feedback(spec, store, ledger, "test").data is None
    assert len(ledger.events(spec.name, kinds=("data_version",))) == 1
    production.label([(identity, "billing") for identity in production.serve(messages(20, seed=3), start=100)])
    second = collect_feedback(spec, store, ledger, "test").data
    assert second is not None
    assert second.rev != ref.rev
    assert ledger.verify().ok


@pytest.mark.functional
def test_own_data_that_moves_on_is_joined_by_the_feedback_so_far(
    production: Any, messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    store, ledger = production.store, production.ledger
    own = tmp_path / "own"
    shutil.copytree(store.root / "stages" / "ingest" / "k" / "files", own)
    data = production.spec.data.model_copy(update={"path": str(own)})
    spec = production.spec.model_copy(update={"data": data})
    collected = collect_feedback(spec, store, ledger, "test")
    assert (collected.data, collected.followed) == (None, None)
    production.label([(identity, "login") for identity in production.serve(messages(30, seed=2))])
    first = collect_feedback(spec, store, ledger, "test")
    assert first.data is not None and first.followed is None

    with (own / "messages.jsonl").open("a") as file:
        file.write('{"id": "n1", "text": "a new row", "label": "login", "group": "n", "source": "web"}\n')
    second = collect_feedback(spec, store, ledger, "test")
    assert second.followed and second.data is not None and ledger.current_data(spec.name) == second.data
    folder = store.root / "pulled"
    pull(second.data, folder)
    assert "a new row" in (folder / "messages.jsonl").read_text()
    assert len((folder / "feedback-1.jsonl").read_text().splitlines()) == 30
    assert collect_feedback(spec, store, ledger, "test").data is None

    shutil.rmtree(own)  # out of reach: feedback goes on without it
    production.label([(identity, "login") for identity in production.serve(messages(30, seed=4), start=500)])
    assert collect_feedback(spec, store, ledger, "test").data is not None


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
    assert collect_feedback(spec, store, ledger, "test").data is None  # no new rows, but the version is known now
    assert ledger.current_data(spec.name) == DataRepository(store.root, spec.name).newest()


def published(production: Any, ref: Any) -> list[dict[str, Any]]:
    """The rows of the first feedback file of a version, which validation must take as a whole."""
    folder = production.store.root / f"pulled-{ref.rev[:8]}"
    pull(ref, folder)
    suite = load_suite(production.spec.suite)
    splits = read_splits(folder, production.spec.data)
    assert judge_splits(suite, splits, production.spec.leakage, folder / "docs").refused == ()
    return [json.loads(line) for line in (folder / "feedback-1.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.functional
def test_rows_that_validation_would_refuse_are_left_out_and_named(
    production: Any, messages: Callable[..., list[str]]
) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    ids = production.serve(messages(30, seed=2))
    unnamed = production.serve(messages(4, seed=3), start=100, source=None)
    production.label([(identity, "login") for identity in [*ids[:25], *unnamed]])
    production.label([(identity, "Tablet issue") for identity in ids[25:]])
    collected = collect_feedback(spec, store, ledger, "test")
    assert collected.num_left_out == 9
    reasons = "\n".join(collected.reasons)
    assert "values Tablet issue" in reasons
    assert "expect_column_values_to_not_be_null(source)" in reasons
    assert [row["id"] for row in published(production, collected.data)] == ids[:25]
    again = collect_feedback(spec, store, ledger, "test")  # fewer than a version's worth: not looked at yet
    assert (again.data, again.num_left_out) == (None, 0)


@pytest.mark.functional
def test_new_labels_wait_when_no_single_row_is_to_blame(production: Any, messages: Callable[..., list[str]]) -> None:
    ids = production.serve(messages(40, seed=2))
    production.label([(identity, ["login", "tablet", "phone"][number % 3]) for number, identity in enumerate(ids)])
    collected = collect_feedback(production.spec, production.store, production.ledger, "test")
    assert (collected.data, collected.num_left_out) == (None, 40)  # 14 known labels are not worth a version
    assert any("unique_value_count" in reason for reason in collected.reasons)
    production.label([(identity, "login") for identity in production.serve(messages(10, seed=3), start=100)])
    collected = collect_feedback(production.spec, production.store, production.ledger, "test")
    assert collected.num_left_out == 26
    assert {row["label"] for row in published(production, collected.data)} == {"login"}


@pytest.mark.functional
def test_rows_that_preparation_would_refuse_are_left_out(production: Any, messages: Callable[..., list[str]]) -> None:
    ids = production.serve(messages(25, seed=2))
    same = [production.serve(["where is my card"], start=100 + number)[0] for number in range(10)]  # of one customer
    production.label([(identity, "login") for identity in ids])
    production.label([(identity, ["login", "billing"][number % 2]) for number, identity in enumerate(same)])
    collected = collect_feedback(production.spec, production.store, production.ledger, "test")
    assert collected.num_left_out == 10
    assert "conflicting_label 10" in collected.reasons[0]
    assert [row["id"] for row in published(production, collected.data)] == ids


@pytest.mark.functional
def test_a_corrected_label_replaces_the_old_one(production: Any, messages: Callable[..., list[str]]) -> None:
    spec, store, ledger = production.spec, production.store, production.ledger
    ids = production.serve(messages(40, seed=2))
    production.label([(identity, "login") for identity in ids[:25]])
    assert collect_feedback(spec, store, ledger, "test").data is not None
    production.label([(identity, "billing") for identity in ids[20:40]], at="2099-01-03T00:00:00+00:00")
    rows = published(production, collect_feedback(spec, store, ledger, "test").data)
    assert [(row["id"], row["label"]) for row in rows] == [
        (identity, "login" if number < 20 else "billing") for number, identity in enumerate(ids[:25])
    ]
    assert collect_feedback(spec, store, ledger, "test").data is None
    production.label([(identity, "delivery") for identity in ids[:20]], at="2099-01-04T00:00:00+00:00")
    ref = collect_feedback(spec, store, ledger, "test").data  # corrections alone: no further file
    assert {row["label"] for row in published(production, ref)[:20]} == {"delivery"}
    files = sorted(path.name for path in (store.root / f"pulled-{ref.rev[:8]}").glob("feedback-*")) if ref else []
    assert files == ["feedback-1.jsonl", "feedback-2.jsonl"]


@pytest.mark.functional
def test_the_command_says_what_was_left_out(
    production: Any, messages: Callable[..., list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    ids = production.serve(messages(40, seed=2))
    production.label([(identity, "Tablet issue") for identity in ids[:30]] + [(ids[39], "billling")])
    path = production.store.root / "support.yaml"
    path.write_text(yaml.safe_dump(production.spec.model_dump(mode="json")), encoding="utf-8")
    collect(str(path), json=True)
    answer = json.loads(capsys.readouterr().out)
    assert (answer["data"], answer["num_left_out"], answer["held_back"]) == (None, 30, {"billling": 1})
    collect(str(path))
    said = capsys.readouterr().out
    assert "Held back: the new label 'billling' has 1 row so far, wanted 5." in said
    assert "Left out: 30 labelled answers" in said
    assert "values Tablet issue" in said


@pytest.mark.functional
def test_rows_that_the_pipeline_sets_aside_do_not_stop_feedback(
    production: Any, messages: Callable[..., list[str]], tmp_path: Path
) -> None:
    store, ledger = production.store, production.ledger
    own = tmp_path / "own"
    shutil.copytree(store.root / "stages" / "ingest" / "k" / "files", own)
    with (own / "messages.jsonl").open("a") as file:
        file.write('{"id": "bad", "text": ["no text"], "label": "login"}\n')
    spec = production.spec.model_copy(update={"data": production.spec.data.model_copy(update={"path": str(own)})})
    production.label([(identity, "login") for identity in production.serve(messages(30, seed=2))])
    collected = collect_feedback(spec, store, ledger, "test")
    assert (collected.reasons, collected.data is not None) == ((), True)


@pytest.fixture
def conversations(production: Any) -> FineTuneSpec:
    """The production of a model that writes replies, whose ratings training reads; replies 0 to 29 are logged."""
    files = next(production.store.root.glob("stages/ingest/*/files"))
    (files / "messages.jsonl").unlink()
    asked = [f"where is order number {number} that I paid for" for number in range(60)]
    rows = [
        {"id": f"b{number}", "messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "soon"}]}
        for number, text in enumerate(asked)
    ]
    (files / "chats.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    logged = [
        {"id": str(number), "at": f"2099-01-01T00:00:{number:02}+00:00", "text": f"why does lamp {number} not light up",
         "prediction": "We look into it."}
        for number in range(30)
    ]  # fmt: skip
    append_rows(predictions_folder(production.store.root, "support"), logged)
    raw = production.spec.model_dump(mode="json", include={"name", "base_model", "data", "validation", "monitoring"})
    raw["data"]["files"] = {"any": ["chats.jsonl", "feedback-*.jsonl"]}
    raw["method"] = {"prefer": {"data": ["ratings/*.jsonl"]}}
    suite = json.loads(Path(raw["validation"]["suite"]).read_text())
    suite["expectations"] = suite["expectations"][:1]  # the others are about labels and sources
    raw["validation"]["suite"] = str(files.parent / "suite.json")
    Path(raw["validation"]["suite"]).write_text(json.dumps(suite))
    return FineTuneSpec.model_validate({**raw, "task": "instruction"})


def test_ratings_alone_make_a_version_where_training_reads_them(production: Any, conversations: FineTuneSpec) -> None:
    store, ledger = production.store, production.ledger

    def rate(rating: str, *numbers: int) -> None:
        rows = [{"id": str(number), "rating": rating, "at": "2099-01-02T00:00:00+00:00"} for number in numbers]
        append_rows(feedback_folder(store.root, "support"), rows)

    rate("up", *range(19))
    assert collect_feedback(conversations, store, ledger, "test").data is None  # one too few
    rate("up", 19)
    one_sided = collect_feedback(conversations, store, ledger, "test")
    assert (one_sided.data, one_sided.num_left_out) == (None, 20)
    assert one_sided.reasons == ("method.prefer has 20 good and 0 bad ratings, wanted some of both",)
    rate("down", 20, 21)
    unread = conversations.model_copy(update={"method": conversations.method.model_copy(update={"prefer": None})})
    assert collect_feedback(unread, store, ledger, "test").data is None

    ref = collect_feedback(conversations, store, ledger, "test").data
    assert ref is not None and ledger.current_data("support") == ref
    pull(ref, store.root / "pulled")
    lines = (store.root / "pulled" / "ratings" / "feedback-1.jsonl").read_text().splitlines()
    assert [json.loads(line)["rating"] for line in lines] == ["up"] * 20 + ["down"] * 2
    assert not (store.root / "pulled" / "feedback-1.jsonl").exists()
    assert collect_feedback(conversations, store, ledger, "test").data is None  # once


def test_pairs_go_along_with_corrections_and_follow_them(production: Any, conversations: FineTuneSpec) -> None:
    store, ledger = production.store, production.ledger
    raw = conversations.model_dump(mode="json", exclude_unset=True)
    raw["method"] = {"prefer": {"algorithm": "dpo", "data": ["pairs/*.jsonl"]}}
    spec = FineTuneSpec.model_validate(raw)

    def correct(day: int, reply: str, *numbers: int) -> None:
        rows = [
            {"id": str(number), "reply": f"{reply} {number}", "at": f"2099-01-{day:02}T00:00:00+00:00"}
            for number in numbers
        ]
        append_rows(feedback_folder(store.root, "support"), rows)

    def pairs(into: str) -> list[tuple[str, str]]:
        collected = collect_feedback(spec, store, ledger, "test")
        assert collected.data is not None, collected
        pull(collected.data, store.root / into)
        lines = (store.root / into / "pairs" / "feedback-1.jsonl").read_text().splitlines()
        return [(json.loads(line)["chosen"], json.loads(line)["rejected"]) for line in lines]

    correct(2, "turn the switch of lamp", *range(20))
    assert pairs("one") == [(f"turn the switch of lamp {number}", "We look into it.") for number in range(20)]
    correct(3, "change the bulb of lamp", *range(20))
    assert pairs("two") == [(f"change the bulb of lamp {number}", "We look into it.") for number in range(20)]
