from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ftcore.data.reading import write_jsonl
from ftcore.errors import DataRefused, IntegrityError
from ftcore.evaluation.analysis import holdout_rows
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows, read_holdout
from tests.evaluation.analysis.made import evaluated, labelled, other

ROWS = labelled(30)


def right(row: dict[str, str]) -> str:
    return row["label"]


def read(folder: Path, rows: list[dict[str, object]] = ROWS) -> HoldoutRows:
    return read_holdout(folder, rows, generates=False, metric="accuracy")


def test_texts_metadata_and_embeddings_lie_on_the_candidates_rows(tmp_path: Path) -> None:
    wrong = {"candidate": lambda row: other(row["label"]) if row["id"] == "r3" else row["label"], "champion": right}
    rows = read(evaluated(tmp_path, ROWS, wrong))
    assert (rows.num_rows, rows.num_all, set(rows.models)) == (30, 30, {"candidate", "champion"})
    assert rows.losses("candidate").tolist() == [float(at == 3) for at in range(30)]
    assert not rows.losses("champion").any()
    assert set(rows.columns) == {"source", "month"} and rows.columns["month"].values == (
        "2026-01",
        "2026-02",
        "2026-03",
    )
    assert rows.groups is not None and rows.groups.max() == 14
    assert rows.embeddings is not None and np.allclose(np.linalg.norm(rows.embeddings, axis=1), 1, atol=1e-3)
    example = rows.example(3)
    assert (
        example["text"] == ROWS[3]["text"]
        and example["candidate_confidence"] == 0.8
        and example["champion"] == ROWS[3]["label"]
    )


def test_without_prepared_rows_the_texts_are_those_of_the_reference(tmp_path: Path) -> None:
    rows = read(evaluated(tmp_path, ROWS, {"candidate": right}), [])
    assert rows.texts == [row["text"] for row in ROWS] and set(rows.columns) == {"source"}


def test_another_order_of_the_champion_is_put_right(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, ROWS, {"candidate": right, "champion": right})
    path = folder / "predictions" / "champion.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    write_jsonl(path, lines[::-1])
    assert not read(folder).losses("champion").any()
    write_jsonl(path, lines[1:])
    with pytest.raises(DataRefused, match="no answer to 1 of 30"):
        read(folder)
    (folder / "predictions" / "candidate.jsonl").unlink()
    with pytest.raises(IntegrityError):
        read(folder)


def test_embeddings_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, ROWS, {"candidate": right})
    path = folder / "reference" / "embeddings.npy"
    vectors = np.load(path)
    for bad in (vectors[:-1], np.full_like(vectors, np.nan), vectors[:, 0]):
        np.save(path, bad)
        assert read(folder).embeddings is None
    path.unlink()
    assert read(folder).embeddings is None


def test_confidences_count_only_where_every_row_has_one(tmp_path: Path) -> None:
    rows = read(evaluated(tmp_path, ROWS, {"candidate": right}, confidence=None))
    assert rows.models["candidate"].confidences is None and "candidate_confidence" not in rows.example(0)


def test_many_rows_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(holdout_rows, "MAX_ROWS", 12)
    rows = read(evaluated(tmp_path, ROWS, {"candidate": right, "champion": right}))
    assert (rows.num_rows, rows.num_all) == (12, 30) and rows.embeddings is not None and len(rows.embeddings) == 12
    assert rows.texts == [row["text"] for row in ROWS if row["id"] in rows.ids]


def test_examples_hide_personal_data_and_cut_texts(tmp_path: Path) -> None:
    rows = [{**ROWS[0], "text": "write to jo.doe@example.org " + "x " * 300}]
    shown = read(evaluated(tmp_path, rows, {"candidate": right}), rows).example(0)["text"]
    assert "jo.doe" not in shown and len(shown) <= 200


CHATS = [{"id": f"c{at}", "text": "how do I pay", "completion": "by card, at the desk"} for at in range(8)]


@pytest.mark.parametrize(
    ("metric", "more", "score"),
    [
        ("chrf", {"chrf": 0.25}, 0.25),
        ("exact_match", {}, 0.0),
        ("inverse_perplexity", {"nll": 4.0, "num_target_tokens": 2}, np.exp(-2)),
    ],
)
def test_scores_of_generated_text(tmp_path: Path, metric: str, more: dict[str, float], score: float) -> None:
    folder = evaluated(tmp_path, CHATS, {"candidate": lambda row: "by card"}, **more)
    rows = read_holdout(folder, CHATS, generates=True, metric=metric)
    assert rows.losses("candidate") == pytest.approx([1 - score] * 8)
    assert rows.example(0)["candidate_score"] == pytest.approx(score)


def test_a_metric_without_row_values_is_refused(tmp_path: Path) -> None:
    folder = evaluated(tmp_path, CHATS, {"candidate": lambda row: "by card"})
    for metric in ("inverse_perplexity", "taste"):
        with pytest.raises(DataRefused):
            read_holdout(folder, CHATS, generates=True, metric=metric)
