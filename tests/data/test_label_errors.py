from __future__ import annotations

import random
from typing import Any

from ftcore.data.label_errors import audit_labels, cross_validated
from ftcore.spec import LabelAuditSpec, Split

TOPICS = {
    "refund": "money back refund return the sum to my bank account pay me",
    "delivery": "parcel courier late arrive where is my package shipping",
    "login": "password sign in account locked reset code email access",
}


def rows(count: int, prefix: str, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    return [
        {"id": f"{prefix}{n}", "text": " ".join(chance.sample(TOPICS[label].split(), 5)) + f" {n}", "label": label}
        for n in range(count)
        for label in [chance.choice(list(TOPICS))]
    ]


def flip(members: list[dict[str, Any]], every: int) -> set[str]:
    names = list(TOPICS)
    for row in members[::every]:
        row["label"] = names[(names.index(row["label"]) + 1) % 3]
    return {row["id"] for row in members[::every]}


def test_planted_errors_come_first_and_test_rows_before_all() -> None:
    splits: dict[Split, list[dict[str, Any]]] = {"train": rows(300, "t", 1), "validation": [], "test": rows(80, "x", 2)}
    planted = flip(splits["train"], 20), flip(splits["test"], 16)
    before = [dict(row) for row in splits["train"]]
    audit = audit_labels(splits, LabelAuditSpec(splits=["train", "test", "validation"]))
    assert splits["train"] == before
    assert [suspect.split for suspect in audit.suspects] == ["test"] * len(planted[1]) + ["train"] * len(planted[0])
    assert {suspect.id for suspect in audit.suspects} == planted[0] | planted[1]
    assert all(suspect.label != suspect.suggested and 0 <= suspect.score < 0.5 for suspect in audit.suspects)
    assert audit.num_suspects == {"test": 5, "validation": 0, "train": 15}
    test, validation, train = audit.splits
    assert test.noise_rate == 5 / 80
    assert validation.note == "no rows with labels"
    assert train.agreement is not None and train.agreement > 0.9
    assert "text" not in audit.queue()[0]


def test_the_order_of_rows_changes_nothing() -> None:
    members = rows(120, "t", 3)
    flip(members, 15)
    settings = LabelAuditSpec(splits=["train"])
    there = audit_labels({"train": members}, settings).suspects
    back = audit_labels({"train": members[::-1]}, settings).suspects
    assert {suspect.id for suspect in there} == {suspect.id for suspect in back}


def test_a_group_is_never_judged_by_its_own_rows() -> None:
    members = rows(60, "t", 4)
    for row in members:
        row["group"] = row["label"]  # every label is one group, so no other fold knows it
    labels, chances = cross_validated(members, 5, rounds=1)
    known = [row for row, chance in zip(members, chances, strict=True) if chance[labels.index(row["label"])] > 0]
    assert known == []


def test_what_cannot_be_audited_has_a_note() -> None:
    settings = LabelAuditSpec(splits=["test"], max_rows=50)
    one = [{"id": "a", "text": "x", "label": "l"}]
    assert audit_labels({"train": one, "test": one}, settings).splits[0].note == "train has one label"
    assert "wanted at most 50" in audit_labels({"train": rows(60, "t", 5), "test": one}, settings).splits[0].note
    chat = [{"id": "g", "text": "q", "completion": "a", "messages": []}]
    assert audit_labels({"train": chat, "test": chat}, settings).splits[0].noise_rate is None
    assert audit_labels({"train": one}, LabelAuditSpec()).splits == []
