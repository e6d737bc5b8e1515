from __future__ import annotations

import dataclasses

import numpy as np

from ftcore.evaluation.analysis.clusters import Words, failure_clusters, topics_of
from tests.evaluation.analysis.made import LABELS, holdout, labelled, other

ROWS = labelled(600)
TEXTS = [row["text"] for row in ROWS]
TARGETS = [row["label"] for row in ROWS]
VECTORS = np.eye(3, dtype=np.float32)[[LABELS.index(label) for label in TARGETS]]
VECTORS = VECTORS + np.random.default_rng(0).normal(0, 0.05, VECTORS.shape).astype(np.float32)


def test_topics_are_named_by_their_words() -> None:
    topics = topics_of(VECTORS, Words(TEXTS))
    assert topics is not None and len(topics.names) == 4 and len(set(topics.names)) == 4
    for code, name in enumerate(topics.names):
        labels = {TARGETS[row] for row in np.flatnonzero(topics.codes == code)}
        assert len(labels) == 1, name
    assert any("password" in name or "locked" in name for name in topics.names)


def test_clusters_hold_all_failing_rows_and_tell_what_they_are_taken_for() -> None:
    said = [other(label) if at % 7 == 0 and label != "login" else label for at, label in enumerate(TARGETS)]
    rows = dataclasses.replace(holdout(TARGETS, {"candidate": said}, texts=TEXTS), embeddings=VECTORS)
    bad = rows.losses("candidate") > 0
    found = failure_clusters(rows, bad, VECTORS, Words(TEXTS))
    assert sum(item["n"] for item in found) == bad.sum() and abs(sum(item["share"] for item in found) - 1) < 1e-9
    for item in found:
        assert 0 < item["num_near_failing"] <= item["num_near"]
        assert item["confusions"][0]["predicted"] == other(item["confusions"][0]["target"])
        assert (
            all(example["candidate"] != example["target"] for example in item["examples"])
            and len(item["examples"]) == 3
        )
    assert [item["n"] for item in found] == sorted((item["n"] for item in found), reverse=True)


def test_examples_are_those_in_the_middle() -> None:
    rng = np.random.default_rng(2)
    vectors = np.concatenate([rng.normal(0, 0.01, (10, 2)), rng.normal(5, 0.01, (10, 2))]).astype(np.float32)
    vectors[[3, 17]] += 0.5  # at the edge
    rows = holdout(["a"] * 20, {"candidate": ["b"] * 20})
    found = failure_clusters(rows, np.ones(20, dtype=bool), vectors, Words(rows.texts))
    shown = {example["id"] for item in found for example in item["examples"] if item["n"] > 3}
    assert shown and not shown & {"r3", "r17"}


def test_few_failures_no_vectors_no_words() -> None:
    rows = holdout(TARGETS, {"candidate": TARGETS}, texts=TEXTS)
    bad = np.arange(600) < 9
    assert failure_clusters(rows, bad, VECTORS, Words(TEXTS)) == []
    assert failure_clusters(rows, ~bad, None, Words(TEXTS)) == []
    assert topics_of(VECTORS[:299], Words(TEXTS[:299])) is None
    blank = Words(["", "12345", "!?"] * 200)
    assert blank.vectors() is None and blank.name(np.ones(600, dtype=bool)) == ""
    same = failure_clusters(rows, ~bad, np.ones((600, 4), dtype=np.float32), blank)
    assert [item["name"] for item in same] == ["no words in common"] and same[0]["n"] == 591


def test_names_hold_no_numbers_and_no_word_of_one_row() -> None:
    texts = [
        f"order {10_000 + at} unique{chr(97 + at % 26)} parcel" if at % 2 else "hello there money" for at in range(60)
    ]
    name = Words(texts).name(np.arange(60) % 2 == 1)
    assert not any(char.isdigit() for char in name) and "parcel" in name


def test_rows_without_embeddings_are_compared_by_words() -> None:
    vectors = Words(TEXTS).vectors()
    assert vectors is not None
    lengths = np.linalg.norm(vectors, axis=1)  # 0: a row without a word that tells
    assert (np.isclose(lengths, 1, atol=1e-3) | (lengths == 0)).all() and (lengths > 0).mean() > 0.9
    assert topics_of(vectors, Words(TEXTS)) is not None
