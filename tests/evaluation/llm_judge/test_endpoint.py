from __future__ import annotations

import socket
import time

import pytest

from ftcore.evaluation.llm_judge.asking import ask_all
from ftcore.evaluation.llm_judge.endpoint import Endpoint, Reply
from ftcore.evaluation.review import Pair
from tests.evaluation.llm_judge.judge_server import Brain, honest, serving, settings, verdict

KEY = "sk-very-secret"
ASKED = [{"role": "system", "content": "s"}, {"role": "user", "content": "row text"}]


def says(*replies: str | tuple[int, bytes]) -> Brain:
    """The replies one after the other, then the last one for ever."""
    left = list(replies)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def ask(url: str, times: int = 1, **others: object) -> tuple[list[Reply], Endpoint]:
    endpoint = Endpoint(settings(url, **others), first_wait_s=0.001)
    try:
        return [endpoint.ask(ASKED) for _ in range(times)], endpoint
    finally:
        endpoint.close()


def test_a_reply_comes_with_the_name_of_the_model() -> None:
    with serving(lambda *_: verdict("A")) as seen:
        [reply], _ = ask(seen.url)
    assert reply == Reply('{"verdict": "A"}', "tiny-judge") and seen.keys == [None]
    assert seen.bodies[0]["messages"] == ASKED and seen.bodies[0]["model"] == "judge"


def test_passing_faults_are_tried_again_and_lasting_ones_are_not() -> None:
    with serving(says((503, b"{}"), (429, b""), (200, b"no json"), "fine")) as seen:
        [reply], endpoint = ask(seen.url, retries=3)
        assert reply.text == "fine" and endpoint.num_calls == 4
    with serving(says((500, b"{}"))) as seen:
        [reply], endpoint = ask(seen.url, retries=2)
        assert reply == Reply(None, fault="the endpoint answers with status 500") and endpoint.num_calls == 3
    with serving(says((400, b"row text"), "fine")) as seen:  # about this question only
        replies, endpoint = ask(seen.url, times=2, retries=3)
        assert [reply.text for reply in replies] == [None, "fine"] and endpoint.num_calls == 2
    with serving(says((401, b"{}"))) as seen:  # about all of them
        replies, endpoint = ask(seen.url, times=9, retries=3)
        assert {reply.fault for reply in replies} == {
            "the endpoint answers with status 401"
        } and endpoint.num_calls == 1
    with serving(says((307, b""))) as seen:  # a redirect would take the key elsewhere
        assert ask(seen.url)[0][0].fault == "the endpoint answers with status 307"


def test_an_endpoint_that_is_down_is_left_alone_soon() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        replies, endpoint = ask(f"http://127.0.0.1:{taken.getsockname()[1]}", times=50, retries=1)
    assert {reply.fault for reply in replies} == {"the endpoint does not answer (ConnectError)"}
    assert endpoint.num_calls == 10  # five questions, twice each


def test_calls_end_with_the_budget() -> None:
    with serving(lambda *_: "x") as seen:
        replies, _ = ask(seen.url, times=5, max_calls=3)
    assert [reply.text for reply in replies] == ["x", "x", "x", None, None] and len(seen.bodies) == 3
    assert "max_calls" in replies[-1].fault


def test_silence_and_floods_end() -> None:
    started = time.monotonic()
    with serving(lambda *_: "late", delay_s=0.6) as seen:
        assert ask(seen.url, timeout_s=0.2)[0][0].fault == "no answer within timeout_s"
    assert time.monotonic() - started < 30
    with serving(says((200, b" " * 2_000_000))) as seen:
        assert "million bytes" in ask(seen.url)[0][0].fault


@pytest.mark.parametrize(
    "body", [b"[]", b"{}", b'{"choices": []}', b'{"choices": [{"message": "x"}]}', b"null", b"[" * 5000]
)
def test_what_is_no_completion_is_a_fault(body: bytes) -> None:
    with serving(says((200, body))) as seen:
        [reply], _ = ask(seen.url)
    assert reply.text is None and reply.fault


def test_a_reply_that_calls_a_tool_is_an_empty_text() -> None:
    with serving(says((200, b'{"choices": [{"message": {"content": null, "tool_calls": []}}]}'))) as seen:
        assert ask(seen.url)[0][0].text == ""


def test_the_key_is_sent_and_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", f"{KEY}\n")
    with serving(lambda *_: "x", model=f"judge {KEY}") as seen:
        [reply], _ = ask(seen.url, api_key_env="JUDGE_KEY")
    assert seen.keys == [f"Bearer {KEY}"] and reply.model == "judge …"
    for bad in ("", "sk-\u00e9", "sk-\x01"):
        monkeypatch.setenv("JUDGE_KEY", bad)
        with serving(lambda *_: "x") as seen:
            [reply], endpoint = ask(seen.url, api_key_env="JUDGE_KEY")
        assert reply.fault and (not bad or bad not in reply.fault) and endpoint.num_calls == 0 == len(seen.bodies)


def test_questions_go_out_several_at_a_time_and_no_more() -> None:
    pairs = [Pair(str(number), "q", "right", "wrong", True) for number in range(12)]
    with serving(honest, delay_s=0.02) as seen:
        chosen = settings(seen.url, max_concurrency=3)
        endpoint = Endpoint(chosen)
        assert [item.choice for item in ask_all(pairs, endpoint, chosen)] == ["A"] * 12
        endpoint.close()
    assert 1 < seen.most_at_once <= 3


def test_odd_text_can_be_sent() -> None:
    with serving(lambda *_: "x") as seen:
        endpoint = Endpoint(settings(seen.url))
        assert endpoint.ask([*ASKED[:1], {"role": "user", "content": "lone \ud800 surrogate"}]).text == "x"
        endpoint.close()
