"""The decision rule, case by case."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.monitoring.decision import Decision, decide
from ftcore.records import DriftTest


def made(name: str, p: float, effect: float) -> DriftTest:
    return DriftTest(name=name, statistic=1.0, p_value=p, p_adjusted=p, effect=effect, floor=0.1)


def judge(*tests: DriftTest, reference: int = 600, current: int = 400) -> Decision:
    return decide(tests, num_reference=reference, num_current=current, min_rows=200, alpha=0.01)


@pytest.mark.parametrize(
    ("tests", "verdict"),
    [
        ([made("labels", 0.5, 0.0), made("length", 0.02, 0.3)], "ok"),
        ([made("labels", 0.001, 0.05)], "watch"),
        ([made("labels", 0.001, 0.1)], "drift"),
        ([made("labels", 0.01, 0.9)], "ok"),  # p must be under alpha, not at it
        (
            [made("labels", 0.001, 0.05), made("length", 0.5, 0.9)],
            "watch",
        ),  # significant and large must be the same test
        ([], "insufficient"),
    ],
)
def test_verdicts(tests: list[DriftTest], verdict: str) -> None:
    assert judge(*tests).verdict == verdict


def test_too_few_rows_are_insufficient_however_clear_the_tests() -> None:
    clear = made("labels", 1e-9, 0.9)
    for sides in ({"current": 199}, {"reference": 199}):
        decision = judge(clear, **sides)
        assert (decision.verdict, decision.p_value) == ("insufficient", None)
        assert "199 rows; at least 200" in decision.reasons[0]
    assert judge(clear, current=200, reference=200).verdict == "drift"


def test_reasons_are_sentences_strongest_first() -> None:
    decision = judge(made("confidence", 0.001, 0.2), made("embeddings", 0.002, 0.4), made("length", 0.003, 0.02))
    assert decision.verdict == "drift"
    assert decision.reasons == (
        "Messages are of another kind (embeddings tell the windows apart with AUC 0.70); adjusted p 0.002 < 0.01, "
        "effect 0.400 >= floor 0.1.",
        "The model's confidence has another distribution (KS distance 0.20); adjusted p 0.001 < 0.01, "
        "effect 0.200 >= floor 0.1.",
        "Message lengths have another distribution (KS distance 0.02); adjusted p 0.003, but the effect 0.020 is under "
        "the floor 0.1.",
    )
    assert decision.p_value == 0.001


tests_lists = st.lists(
    st.builds(
        made, st.sampled_from(["labels", "confidence", "length", "embeddings", "odd"]), st.floats(0, 1), st.floats(0, 1)
    ),
    min_size=1,
    max_size=5,
)


@given(tests_lists)
def test_drift_means_one_test_is_both_significant_and_large(tests: list[DriftTest]) -> None:
    decision = judge(*tests)
    both = any(test.p_adjusted < 0.01 and test.effect >= 0.1 for test in tests)
    either = any(test.p_adjusted < 0.01 for test in tests)
    assert decision.verdict == ("drift" if both else "watch" if either else "ok")
    assert decision.reasons
    assert all(reason[0].isupper() or reason[0].isdigit() for reason in decision.reasons)
