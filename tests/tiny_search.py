"""A search on a tiny model: prepared rows, a spec with a space, and what the processes of a search share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ftcore.models.base import BaseModel
from ftcore.records import PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Store
from ftcore.training.inputs import read_inputs
from ftcore.tuning.study import Search
from tests.tiny_bert import LABELS, make_rows

SPACE = {"training.learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}, "training.batch_size": {"choices": [4, 8]}}


def prepare_rows(home: Path) -> PreparedDataset:
    """What `prepare` leaves, the holdout among it."""
    folder = home / "stages" / "prepare" / "k"
    folder.mkdir(parents=True)
    for split, rows in (("train", make_rows(24)), ("validation", make_rows(9, seed=1)), ("test", make_rows(9, seed=2))):
        (folder / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "labels.json").write_text(json.dumps(LABELS))
    return PreparedDataset(
        uri="stages/prepare/k", content_digest="c" * 64, train_digest="r" * 64, labels=LABELS, num_rows={},
        num_quarantined={}, num_tokens={}, test_digest="t" * 64,
    )  # fmt: skip


def make_spec(base: BaseModel, space: dict[str, Any] | None = None, **tuning: Any) -> FineTuneSpec:
    """Two epochs of 24 rows; four trials, no limit of time, no pruning, two finalists on one fresh seed."""
    settings = {"trials": 4, "minutes": None, "pruner": "none", "rescore": {"top": 2, "seeds": 1}} | tuning
    return FineTuneSpec.model_validate(
        {
            "name": "tiny",
            "base_model": {"name": str(base.path)},
            "training": {"epochs": 2, "batch_size": 8, "max_length": 16, "learning_rate": 1e-3, "patience": 0},
            "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
            "tuning": {"space": space or SPACE, **settings},
        }
    )


def make_search(home: Path, spec: FineTuneSpec) -> Search:
    return Search(spec, "study", home / "search", read_inputs(spec, {"prepare": prepare_rows(home)}, Store(home)))
