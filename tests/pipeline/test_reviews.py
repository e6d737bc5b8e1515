from __future__ import annotations

import csv
from pathlib import Path

import pytest

from ftcore.errors import UsageError
from ftcore.evaluation.llm_judge.labels import read_labels
from ftcore.ledger import GATE_DECISION, Ledger
from ftcore.pipeline.reviews import RECORDED, make_review, record_review, recorded_reviews
from ftcore.store import Store
from tests.evaluation.test_review import evaluated


def test_a_review_goes_from_the_newest_decision_into_the_ledger(tmp_path: Path) -> None:
    store, ledger = Store(tmp_path / "store"), Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    folder = tmp_path / "review"
    with pytest.raises(UsageError, match="Nothing was decided"):
        make_review("tiny", ledger, store, folder, 10, "ada")
    with pytest.raises(UsageError, match="no review"):
        record_review("tiny", ledger, store, [], "ada")
    evaluated(store.root / "evaluated", ["new"] * 40, ["old"] * 40)
    decision = {
        "verdict": "v" * 64,
        "evaluation": "evaluated",
        "candidate": "c" * 64,
        "champion": "d" * 64,
        "outcome": "PASS",
    }
    ledger.append(GATE_DECISION, "tiny", decision, "ada")
    made = make_review("tiny", ledger, store, folder, 30, "ada")
    assert made["num_pairs"] == 30
    with pytest.raises(UsageError, match="there already"):
        make_review("tiny", ledger, store, folder, 30, "ada")
    page = (folder / "pairs.html").read_text().split("Pair ")[1:]
    with (folder / "choices.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, shown in zip(rows, page, strict=True):  # this reviewer always likes the candidate
        row["choice"] = "A" if shown.index("new") < shown.index("old") else "B"
    with (tmp_path / "ada.csv").open("w", newline="") as file:
        sheet = csv.DictWriter(file, rows[0])
        sheet.writeheader()
        sheet.writerows(rows)
    labels = tmp_path / "labels.jsonl"
    seen = record_review("tiny", ledger, store, [tmp_path / "ada.csv"], "bo", labels)
    assert (seen.candidate, seen.champion, seen.tied) == (30, 0, 0) and seen.p_value < 1e-6
    [event] = ledger.events("tiny", (RECORDED,))
    assert (event.actor, event.payload["candidate"], event.payload["verdict"]) == ("bo", 30, "v" * 64)
    assert event.payload["sheets"] == ["ada"]
    [told] = recorded_reviews("tiny", ledger)["v" * 64]
    assert told.startswith(f"review {made['review']}: 1 reviewer, 30 rows: candidate better on 30")
    found, choices = read_labels(labels)
    assert len(found) == 30 and {
        (pair.first if choices[int(pair.row_id)] == "A" else pair.second) for pair in found
    } == {"new"}
    with pytest.raises(UsageError, match="there already"):
        record_review("tiny", ledger, store, [tmp_path / "ada.csv"], "bo", labels)
