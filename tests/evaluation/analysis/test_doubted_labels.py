from __future__ import annotations

from ftcore.evaluation.analysis.doubted_labels import doubted_labels
from ftcore.evaluation.analysis.probe import train_probe
from tests.evaluation.analysis.made import holdout, labelled, other

TRUE = labelled(240, seed=5)
WRONG = {7, 50, 111, 200}
GIVEN = [other(row["label"]) if at in WRONG else row["label"] for at, row in enumerate(TRUE)]
TEXTS = [row["text"] for row in TRUE]
PROBE = train_probe(labelled(600), [{"text": text, "label": label} for text, label in zip(TEXTS, GIVEN, strict=True)])


def test_planted_wrong_labels_are_found_where_the_candidate_agrees() -> None:
    rows = holdout(GIVEN, {"candidate": [row["label"] for row in TRUE]}, texts=TEXTS)
    found = doubted_labels(rows, PROBE, reviewed={"r7"})
    assert found is not None and set(found["ids"]) == {f"r{at}" for at in WRONG}
    first = next(item for item in found["rows"] if item["id"] == "r7")
    assert first["suggested"] == TRUE[7]["label"] and first["also_in_audit"] and first["target"] == GIVEN[7]
    assert not any(item["also_in_audit"] for item in found["rows"] if item["id"] != "r7")


def test_a_candidate_that_says_the_label_or_something_else_clears_a_row() -> None:
    said = [GIVEN[at] if at != 50 else other(GIVEN[50]) for at in range(240)]
    said[50] = next(label for label in ("refund", "delivery", "login") if label not in (GIVEN[50], TRUE[50]["label"]))
    found = doubted_labels(holdout(GIVEN, {"candidate": said}, texts=TEXTS), PROBE)
    assert found is not None and found["rows"] == [] and found["num_judged"] == 240


def test_labels_that_train_lacks_are_not_judged_and_generated_text_has_none() -> None:
    rows = holdout(["new"] * 240, {"candidate": ["refund"] * 240}, texts=TEXTS)
    found = doubted_labels(rows, PROBE)
    assert found is not None and found["num_judged"] == 0 and found["rows"] == [] and found["probe_agreement"] is None
    assert doubted_labels(rows, None) is None
    scored = holdout(["x"], {"candidate": ["y"]}, scores={"candidate": [0.5]})
    assert doubted_labels(scored, PROBE) is None
