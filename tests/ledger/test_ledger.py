"""The ledger's rules: compare-and-set, fencing, idempotence, one open request, deduplicated alerts."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ftcore.errors import IntegrityError, PromotionRefused, StaleChampion, UsageError
from ftcore.ledger import Ledger, open_ledger, promotion_id
from ftcore.records import DataRef, Promotion

DATA = DataRef(repo="/data", rev="a" * 40, path="data")


@pytest.fixture
def ledger() -> Iterator[Ledger]:
    with open_ledger() as opened:
        yield opened


def prepare(
    ledger: Ledger, model: str, *, fence: int | None = None, spec: str = "intents", **changes: object
) -> Promotion:
    head = ledger.head(spec)
    wanted = {
        "spec": spec, "model_digest": model, "verdict_digest": f"verdict of {model}",
        "expected_digest": head.model_digest if head else None, "expected_seq": head.seq if head else 0,
        "package_uri": f"packages/{model}", "fence": fence or ledger.issue_fence(spec), "actor": "ada", "reason": "better",
    }  # fmt: skip
    return ledger.prepare(**(wanted | changes))  # type: ignore[arg-type]


def champion(ledger: Ledger, model: str) -> Promotion:
    fence = ledger.issue_fence("intents")
    return ledger.commit(prepare(ledger, model, fence=fence).promotion_id, fence)


def test_promotion_goes_through_its_states(ledger: Ledger) -> None:
    fence = ledger.issue_fence("intents")
    prepared = prepare(ledger, "m1", fence=fence)
    assert (prepared.state, ledger.head("intents")) == ("PREPARED", None)
    committed = ledger.commit(prepared.promotion_id, fence)
    head = ledger.head("intents")
    assert head is not None
    assert (committed.state, head.model_digest, head.seq) == ("COMMITTED", "m1", committed.seq)
    applied = ledger.mark_applied(prepared.promotion_id, "7")
    assert (applied.state, applied.mlflow_version) == ("APPLIED", "7")
    assert [event.kind for event in ledger.events("intents")] == [
        "promotion_prepared", "promotion_committed", "promotion_applied",
    ]  # fmt: skip
    assert ledger.unfinished() == []
    assert ledger.verify().ok


def test_every_step_may_be_repeated(ledger: Ledger) -> None:
    fence = ledger.issue_fence("intents")
    steps = [
        lambda: prepare(ledger, "m1", fence=fence, expected_digest=None, expected_seq=0),
        lambda: ledger.commit(promotion_id("intents", "m1", "verdict of m1", 0), fence),
        lambda: ledger.mark_applied(promotion_id("intents", "m1", "verdict of m1", 0), "1"),
    ]
    for step in steps:
        first, count = step(), len(ledger.events())
        assert step() == first
        assert len(ledger.events()) == count
    assert steps[0]().state == "APPLIED"  # preparing again what is done leaves it done
    assert ledger.verify().ok


def test_second_candidate_against_the_same_champion_is_stale(ledger: Ledger) -> None:
    first, second = ledger.issue_fence("intents"), ledger.issue_fence("intents")
    one = prepare(ledger, "m1", fence=first)
    two = prepare(ledger, "m2", fence=second)
    ledger.commit(two.promotion_id, second)
    with pytest.raises(StaleChampion, match="Fencing token 1 of intents is old: 2"):
        ledger.commit(one.promotion_id, first)
    with pytest.raises(StaleChampion, match="champion of intents is m2"):
        ledger.commit(one.promotion_id, ledger.issue_fence("intents"))
    assert ledger.abort(one.promotion_id, "overtaken").state == "ABORTED"
    assert ledger.verify().ok


def test_old_fence_cannot_even_prepare(ledger: Ledger) -> None:
    old, new = ledger.issue_fence("intents"), ledger.issue_fence("intents")
    prepare(ledger, "m2", fence=new)
    with pytest.raises(StaleChampion, match="is old"):
        prepare(ledger, "m1", fence=old)
    with pytest.raises(IntegrityError, match="was never issued"):
        prepare(ledger, "m3", fence=99)


def test_fences_of_specs_are_separate(ledger: Ledger) -> None:
    assert [ledger.issue_fence("a"), ledger.issue_fence("a"), ledger.issue_fence("b")] == [1, 2, 1]


def test_committed_cannot_be_aborted_and_aborted_not_committed(ledger: Ledger) -> None:
    done = champion(ledger, "m1")
    with pytest.raises(PromotionRefused, match="is COMMITTED already"):
        ledger.abort(done.promotion_id, "no")
    fence = ledger.issue_fence("intents")
    given_up = prepare(ledger, "m2", fence=fence)
    ledger.abort(given_up.promotion_id, "changed my mind")
    with pytest.raises(PromotionRefused, match="was aborted"):
        ledger.commit(given_up.promotion_id, fence)
    assert prepare(ledger, "m2").state == "PREPARED"  # but it may be prepared anew
    with pytest.raises(PromotionRefused, match="knows no promotion"):
        ledger.commit("nothing", fence)


def test_history_keeps_every_champion(ledger: Ledger) -> None:
    for model in ("m1", "m2", "m1"):
        champion(ledger, model)
    assert [item.model_digest for item in ledger.history("intents")] == ["m1", "m2", "m1"]
    assert [item.previous_digest for item in ledger.history("intents")] == [None, "m1", "m2"]


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    plan=st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["prepare", "commit", "abort", "apply"])), max_size=14)
)
def test_no_order_of_calls_breaks_the_chain(
    plan: list[tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    with open_ledger(f"sqlite:///{tmp_path_factory.mktemp('ledger') / 'l.db'}") as ledger:
        fences = [ledger.issue_fence("intents") for _ in range(4)]
        ids = [promotion_id("intents", f"m{i}", f"verdict of m{i}", 0) for i in range(4)]
        for number, call in plan:
            try:
                if call == "prepare":
                    prepare(ledger, f"m{number}", fence=fences[number], expected_digest=None, expected_seq=0)
                elif call == "commit":
                    ledger.commit(ids[number], fences[number])
                elif call == "abort":
                    ledger.abort(ids[number], "plan")
                else:
                    ledger.mark_applied(ids[number], "1")
            except PromotionRefused:
                pass
        assert ledger.verify().faults == ()
        assert len(ledger.history("intents")) <= 1  # all were compared with "no champion": one can win


def test_one_open_request_per_spec(ledger: Ledger) -> None:
    first, created = ledger.open_request("intents", "drift", "window-1")
    assert created
    assert ledger.open_request("intents", "more drift", "window-2") == (first, False)
    assert ledger.open_request("other", "drift", "window-3")[1]
    with_data = ledger.attach_data(first.request_id, DATA)
    assert (with_data.data, ledger.request("intents")) == (DATA, with_data)
    assert ledger.close_request(first.request_id, "DONE", "retrained").state == "DONE"
    assert ledger.request("intents") is None
    assert not ledger.open_request("intents", "drift", "window-1")[1]  # the same window again is no news
    assert ledger.open_request("intents", "drift", "window-4")[1]
    with pytest.raises(UsageError, match="wanted DONE or CLOSED"):
        ledger.close_request(first.request_id, "OPEN", "")
    with pytest.raises(UsageError, match="is DONE; wanted OPEN"):
        ledger.attach_data(first.request_id, DataRef(repo=None, rev="b", path="p"))
    assert ledger.verify().ok


def test_newest_data_version_counts_once(ledger: Ledger) -> None:
    newer = DataRef(repo="/data", rev="b" * 40, path="data", reason="feedback")
    assert ledger.current_data("intents") is None
    for ref in (DATA, newer, newer):
        ledger.record_data_version("intents", ref, f"digest of {ref.rev}", 10)
    assert ledger.current_data("intents") == newer
    assert len(ledger.events("intents", kinds=("data_version",))) == 2


def test_alert_waits_until_every_channel_has_it(ledger: Ledger) -> None:
    alert_id = ledger.enqueue_alert("intents", "warning", "drift", "body", "key", {"report": "http://x"})
    assert alert_id is not None
    assert ledger.enqueue_alert("intents", "warning", "drift", "body", "key") is None
    ledger.mark_delivered(alert_id, "log", last=False)
    ledger.mark_failed(alert_id, "no answer")
    [waiting] = ledger.pending_alerts()
    assert (waiting.channels_done, waiting.attempts, waiting.last_error) == (("log",), 1, "no answer")
    ledger.mark_delivered(alert_id, "webhook")
    assert ledger.pending_alerts() == []
    with pytest.raises(UsageError, match="wanted info, warning or critical"):
        ledger.enqueue_alert("intents", "loud", "t", "b", "k2")


def test_events_are_filtered_and_ordered(ledger: Ledger) -> None:
    for number in range(5):
        ledger.append("look" if number % 2 else "note", "a" if number < 3 else "b", {"n": number}, "ada")
    assert [event.seq for event in ledger.events("a", kinds=("note",))] == [1, 3]
    assert [event.seq for event in ledger.events(after=2, limit=2)] == [3, 4]
    assert [event.seq for event in ledger.events(newest_first=True, limit=1)] == [5]
