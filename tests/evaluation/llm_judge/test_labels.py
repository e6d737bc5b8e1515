from __future__ import annotations

import json
from pathlib import Path

import pytest

from ftcore.data.reading import write_jsonl
from ftcore.errors import UsageError
from ftcore.evaluation.llm_judge.asking import Asked
from ftcore.evaluation.llm_judge.endpoint import Reply
from ftcore.evaluation.llm_judge.labels import kappa, labelled_pairs, read_labels
from ftcore.evaluation.review import Pair

PAIRS = [
    Pair("r1", "=SUM(q)", "one", "two,\nlines", True),
    Pair("r2", "q", "x", "y", False),
    Pair("r3", "q", "x", "y", True),
]


def test_what_most_reviewers_chose_can_be_read_back(tmp_path: Path) -> None:
    rows = labelled_pairs(PAIRS, [{1: "A", 2: "B"}, {1: "A", 2: "A"}, {1: "tie"}])
    write_jsonl(tmp_path / "labels.jsonl", rows)
    pairs, choices = read_labels(tmp_path / "labels.jsonl")
    assert choices == {1: "A", 2: "tie"}
    assert [(pair.asked, pair.first, pair.second) for pair in pairs] == [
        ("=SUM(q)", "one", "two,\nlines"), ("q", "x", "y"),
    ]  # fmt: skip


def test_a_sheet_of_another_tool_will_do(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text('\ufeffwho,asked,a,b,choice\nada,q,"x, y",z,Tie \nada,q,x,y,b\n', encoding="utf-8")
    assert read_labels(tmp_path / "l.csv")[1] == {1: "tie", 2: "B"}


@pytest.mark.parametrize("name", ["l.csv", "l.jsonl"])
def test_every_fault_is_told_and_no_text_is(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(UsageError, match="cannot be read"):
        read_labels(path)
    lines = [("secret", "x", "y", "C"), ("secret", "x", "y", "A"), ("secret", "x", "y", "")]
    if name == "l.csv":
        path.write_text("asked,a,b,choice\n" + "".join(",".join(line) + "\n" for line in lines) + "secret,only two\n")
    else:
        rows: list[object] = [dict(zip(("asked", "a", "b", "choice"), line, strict=True)) for line in lines]
        path.write_text("".join(json.dumps(row) + "\n" for row in [*rows, ["secret"]]))
    with pytest.raises(UsageError) as caught:
        read_labels(path)
    assert [line.split(":")[0] for line in caught.value.details] == [f"{name} row {number}" for number in (1, 3, 4)]
    assert "secret" not in str(caught.value)
    path.write_text("asked,a,b,choice\n" if name == "l.csv" else "")
    with pytest.raises(UsageError, match="no rows"):
        read_labels(path)


def test_agreement_is_over_pairs_with_a_verdict() -> None:
    def said(one: str | None, other: str | None) -> Asked:
        return Asked((Reply(""), Reply("")), (one, other))

    people = {1: "A", 2: "B", 3: "A", 4: "B", 5: "A"}
    agreeing = [said("A", "B"), said("B", "A"), said("A", "B"), said("B", "A"), said(None, "A")]
    assert kappa(agreeing, people) == pytest.approx(1.0)
    assert kappa([said("A", "A")] * 5, people) == pytest.approx(0.0)  # contradicts itself: ties
    assert kappa([said(None, None)] * 5, people) is None
