from __future__ import annotations

import numpy as np
import pytest

from ftcore.evaluation.analysis import probe as probes
from ftcore.evaluation.analysis.probe import train_probe
from tests.evaluation.analysis.made import labelled


def test_the_probe_learns_what_the_words_say() -> None:
    probe = train_probe(labelled(400), labelled(90, seed=1))
    assert probe is not None and probe.num_train == (40, 80, 160, 280, 400) and not probe.was_sampled
    assert probe.right.shape == (5, 90) and probe.right[-1].mean() > 0.95
    assert probe.chances.shape == (90, 3) and np.allclose(probe.chances.sum(axis=1), 1)
    again = train_probe(labelled(400), labelled(90, seed=1))
    assert again is not None and np.array_equal(probe.right, again.right)


def test_the_labels_of_the_test_rows_teach_it_nothing() -> None:
    test = labelled(90, seed=1)
    wrong = [{**row, "label": "refund"} for row in test]
    one, other = train_probe(labelled(400), test), train_probe(labelled(400), wrong)
    assert one is not None and other is not None and np.array_equal(one.chances, other.chances)


def test_work_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probes, "MAX_ROWS", 200)
    probe = train_probe(labelled(400), labelled(10))
    assert probe is not None and probe.num_train[-1] == 200 and probe.was_sampled


def test_nothing_to_learn_from() -> None:
    rows = labelled(400)
    assert train_probe([], rows) is None and train_probe(rows, []) is None and train_probe(rows[:99], rows) is None
    assert train_probe([{**row, "label": "a"} for row in rows], rows) is None
    assert train_probe([{**row, "text": " "} for row in rows], rows) is None
    unknown = train_probe(rows, [{"text": "hello", "label": "new"}])
    assert unknown is not None and not unknown.right.any()
