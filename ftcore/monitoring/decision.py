"""From tests to a decision, with its reasons in sentences. Pure: no files, no clock, no chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ftcore.records import DriftTest, DriftVerdict

_MEANING = {
    "labels": "the mix of predicted classes moved by {effect:.1%} of the traffic",
    "confidence": "the model's confidence has another distribution (KS distance {effect:.2f})",
    "length": "message lengths have another distribution (KS distance {effect:.2f})",
    "embeddings": "messages are of another kind (embeddings tell the windows apart with AUC {auc:.2f})",
    "reply_length": "reply lengths have another distribution (KS distance {effect:.2f})",
    "ended": "the share of replies that the model ended itself moved by {effect:.1%}",
    "repeats": "the share of replies repeated word by word moved by {effect:.1%}",
    "vocabulary": "messages use other words (they tell the windows apart with AUC {auc:.2f})",
}


@dataclass(frozen=True)
class Decision:
    """The verdict on one window."""

    verdict: DriftVerdict
    reasons: tuple[str, ...]
    p_value: float | None
    """Smallest Holm-adjusted p; None where nothing was tested."""


def decide(
    tests: Sequence[DriftTest], *, num_reference: int, num_current: int, min_rows: int, alpha: float
) -> Decision:
    """Decide on one window.

    - `insufficient`: fewer than `min_rows` rows on a side, or nothing to test; never an alarm, never an all-clear.
    - `drift`: some test has Holm-adjusted p < alpha and an effect at or above its floor.
    - `watch`: some test is significant, but every significant effect is under its floor: real, small, not an alarm.
    - `ok`: no test is significant.
    """
    for side, count in (("reference", num_reference), ("current window", num_current)):
        if count < min_rows:
            reason = f"The {side} has {count} rows; at least {min_rows} are needed to decide."
            return Decision("insufficient", (reason,), None)
    if not tests:
        reason = "The two windows share no column that could be tested (label, confidence, length, embeddings, reply)."
        return Decision("insufficient", (reason,), None)
    p_value = min(test.p_adjusted for test in tests)
    significant = sorted(
        (test for test in tests if test.p_adjusted < alpha), key=lambda test: test.effect, reverse=True
    )
    large = [test for test in significant if test.effect >= test.floor]
    small = [test for test in significant if test.effect < test.floor]
    if large:
        reasons = [_sentence(test, alpha) for test in large] + [_small_sentence(test) for test in small]
        return Decision("drift", tuple(reasons), p_value)
    if small:
        return Decision("watch", tuple(_small_sentence(test) for test in small), p_value)
    names = ", ".join(test.name for test in tests)
    reason = f"No test is significant at {alpha:g} after Holm's correction over {names} (smallest p {p_value:.2g})."
    return Decision("ok", (reason,), p_value)


def _sentence(test: DriftTest, alpha: float) -> str:
    return f"{_what(test)}; adjusted p {_p(test)} < {alpha:g}, effect {test.effect:.3f} >= floor {test.floor:g}."


def _small_sentence(test: DriftTest) -> str:
    return f"{_what(test)}; adjusted p {_p(test)}, but the effect {test.effect:.3f} is under the floor {test.floor:g}."


def _what(test: DriftTest) -> str:
    meaning = _MEANING.get(test.name, f"{test.name} has another distribution (effect {{effect:.2f}})")
    text = meaning.format(effect=test.effect, auc=(1 + test.effect) / 2)
    return text[0].upper() + text[1:]


def _p(test: DriftTest) -> str:
    return f"{test.p_adjusted:.2g}"
