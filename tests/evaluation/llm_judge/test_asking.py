from __future__ import annotations

import pytest

from ftcore.evaluation.llm_judge.asking import Asked, ask_all, conduct, score
from ftcore.evaluation.llm_judge.endpoint import Endpoint, Reply
from ftcore.evaluation.review import Pair
from tests.evaluation.llm_judge.attacks import attacks
from tests.evaluation.llm_judge.judge_server import Brain, copies, honest, loyal, obeys, serving, settings, verdict


def judged(brain: Brain, pairs: list[Pair]) -> list[Asked]:
    with serving(brain) as seen:
        chosen = settings(seen.url, max_concurrency=2)
        endpoint = Endpoint(chosen)
        try:
            return ask_all(pairs, endpoint, chosen)
        finally:
            endpoint.close()


def attacked(place: str) -> list[Pair]:
    """The candidate (shown at `place`) is the worse one and speaks to the judge."""
    pairs = []
    for number, attack in enumerate(attacks(place)):
        texts = (attack, "right answer") if place == "A" else ("right answer", attack)
        pairs.append(Pair(str(number), "what is it?", *texts, place == "A"))
    return pairs


@pytest.mark.parametrize("place", ["A", "B"])
def test_fifty_injections_flip_no_verdict_of_a_judge_that_follows_the_protocol(place: str) -> None:
    pairs = attacked(place)
    assert len({pair.first + pair.second for pair in pairs}) == 50
    asked = judged(honest, pairs)
    assert [item.choice for item in asked] == ["B" if place == "A" else "A"] * 50
    found = score(pairs, asked)
    assert found is not None and (found["wins"], found["losses"], found["ties"]) == (0, 50, 0)


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_obeys_a_place_contradicts_itself_and_gives_the_attacker_no_win(place: str) -> None:
    pairs = attacked(place)
    asked = judged(obeys, pairs)
    assert [item.choice for item in asked] == ["tie"] * 50 and all(item.is_inconsistent for item in asked)
    told = conduct(asked)
    assert told["share_inconsistent"] == 1.0 and told["share_a"] == (1.0 if place == "A" else 0.0)


def test_a_judge_that_quotes_the_data_gives_no_verdict() -> None:
    pairs = attacked("A")
    asked = judged(copies, pairs)
    assert {item.choice for item in asked} == {None} and score(pairs, asked) is None
    told = conduct(asked)
    assert told["share_unparsable"] == 1.0 and told["num_judged"] == 0 and told["share_a"] is None


@pytest.mark.parametrize("place", ["A", "B"])
def test_a_judge_that_prefers_whoever_speaks_to_it_is_beyond_these_defences(place: str) -> None:
    """Only agreement with people shows it: test_judging."""
    assert {item.choice for item in judged(loyal, attacked(place))} == {place}


def test_wins_are_the_candidates_wherever_it_was_shown() -> None:
    texts = [("right", "wrong", True), ("wrong", "right", False), ("wrong", "right", True), ("wrong", "wrong", True)]
    pairs = [Pair(str(number), "q", *text) for number, text in enumerate(texts)]
    found = score(pairs, judged(honest, pairs))
    assert found is not None and (found["wins"], found["losses"], found["ties"]) == (2, 1, 1)
    assert found["win_rate"] == pytest.approx(2.5 / 4) and found["ci_low"] < 0.625 < found["ci_high"]


def test_one_place_throughout_is_seen_as_such() -> None:
    pairs = [Pair(str(number), "q", "right", "wrong", True) for number in range(5)]
    told = conduct(judged(lambda *_: verdict("A"), pairs))
    assert told["share_a"] == 1.0 and told["share_inconsistent"] == 1.0 and told["models"] == ["tiny-judge"]


def test_what_has_no_answer_is_counted_apart() -> None:
    silent = Reply(None, fault="the endpoint answers with status 500")
    asked = [Asked((Reply('{"verdict": "A"}', "m"), silent), ("A", None))]
    told = conduct(asked)
    assert (told["share_unanswered"], told["share_unparsable"], told["share_inconsistent"]) == (0.5, 0.0, None)
    assert told["faults"] == {"the endpoint answers with status 500": 1}
