from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from ftcore.evaluation.analysis.worst_answers import failing, worst_answers
from tests.evaluation.analysis.made import holdout


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=60))
@example([1.0, 1.0])
def test_the_lowest_scores_come_first_and_no_perfect_answer_fails(scores: list[float]) -> None:
    rows = holdout(["x"] * len(scores), {"candidate": ["y"] * len(scores)}, scores={"candidate": scores})
    found = worst_answers(rows, "chrf")
    assert found is not None
    shown = [row["candidate_score"] for row in found["rows"]]
    assert shown == sorted(scores)[:20]
    bad = failing(rows)
    assert not any(score == 1.0 for score, is_bad in zip(scores, bad, strict=True) if is_bad)
    kept = [score for score, is_bad in zip(scores, bad, strict=True) if is_bad]
    assert not kept or max(kept) <= min((s for s, is_bad in zip(scores, bad, strict=True) if not is_bad), default=1.0)


def test_labels_have_no_scores() -> None:
    rows = holdout(["a", "b"], {"candidate": ["a", "a"]})
    assert worst_answers(rows, "accuracy") is None and failing(rows).tolist() == [False, True]
