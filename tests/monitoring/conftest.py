"""A small production: a package with a real tiny model, its reference, a ledger that names it champion, a prediction log."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ftcore.data.reading import write_jsonl
from ftcore.ledger import Ledger, open_ledger
from ftcore.records import DatasetVersion, canonical_json
from ftcore.serving.log import append_rows, feedback_folder, predictions_folder
from ftcore.spec import FineTuneSpec, ValidationSpec
from ftcore.store import Manifest, Store, write_durable

sys.path.insert(0, str(Path(__file__).parents[1] / "serving"))
from tests.serving.tiny_model import LABELS, WORDS, load_tiny, save_tiny

SPEC = FineTuneSpec.model_validate(
    {
        "name": "support",
        "base_model": {"name": "tiny"},
        "data": {"repo": None, "path": "unused", "files": {"any": ["messages.jsonl", "feedback-*.jsonl"]}},
        "monitoring": {"window_rows": 300, "min_rows": 100, "cooldown_hours": 1, "min_feedback_rows": 20},
        "training": {"max_length": 32},
        "compute": {"device": "cpu", "precision": "fp32", "threads": 1},
    }
)

SUITE = {
    "name": "small",
    "expectations": [
        {"type": kind, "kwargs": kwargs, "meta": {"notes": "As the shipped suite has it.", **meta}}
        for kind, kwargs, meta in [
            ("expect_column_values_to_be_unique", {"column": "id"}, {}),
            ("expect_column_values_to_match_regex", {"column": "label", "regex": "^[a-z][a-z0-9_]{1,40}$"}, {}),
            (
                "expect_column_unique_value_count_to_be_between",
                {"column": "label", "max_value": 4},
                {"splits": ["train"]},
            ),
            ("expect_column_values_to_be_in_set", {"column": "source", "value_set": ["web"]}, {"if_present": True}),
            ("expect_column_values_to_not_be_null", {"column": "source"}, {"if_present": True}),
        ]
    ],
}


@dataclass
class Production:
    """Helpers over one FTCORE_HOME."""

    store: Store
    ledger: Ledger
    spec: FineTuneSpec
    digest: str

    def serve(self, texts: list[str], start: int = 0, source: str | None = "web") -> list[str]:
        """Log answers as the server would; returns their ids."""
        found = load_tiny(self.store.root / "packages" / self.digest / "model").predict(texts)
        ids = [f"{start + number:032x}" for number in range(len(texts))]
        append_rows(
            predictions_folder(self.store.root, self.spec.name),
            [
                {
                    "id": identity, "at": f"2099-01-01T{(start + number) // 3600:02}:{(start + number) // 60 % 60:02}:"
                    f"{(start + number) % 60:02}.000000+00:00", "model_digest": self.digest, "text": text,
                    "prediction": label, "confidence": float(confidence), "num_chars": len(text), "num_tokens": int(tokens),
                    "group": f"customer-{number % 7}", **({"source": source} if source else {}),
                }
                for number, (identity, text, label, confidence, tokens) in enumerate(
                    zip(ids, texts, found.labels, found.confidences, found.num_tokens, strict=True)
                )
            ],
        )  # fmt: skip
        return ids

    def label(self, pairs: list[tuple[str, str]], at: str = "2099-01-02T00:00:00+00:00") -> None:
        append_rows(
            feedback_folder(self.store.root, self.spec.name),
            [{"id": identity, "label": label, "at": at} for identity, label in pairs],
        )


def messages(n: int, seed: int, words: list[str] = WORDS, low: int = 3, high: int = 9) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=chance.randint(low, high))) for _ in range(n)]


@pytest.fixture
def production(home: Path) -> Production:
    store = Store(home)
    building = home / "building"
    digest = save_tiny(building / "model")
    texts = messages(400, seed=1)
    found = load_tiny(building / "model").predict(texts)
    (building / "reference").mkdir()
    rows: list[dict[str, Any]] = [
        {
            "id": str(number),
            "text": text,
            "prediction": label,
            "confidence": float(p),
            "num_chars": len(text),
            "num_tokens": int(t),
        }
        for number, (text, label, p, t) in enumerate(
            zip(texts, found.labels, found.confidences, found.num_tokens, strict=True)
        )
    ]
    write_jsonl(building / "reference" / "rows.jsonl", rows)
    np.save(building / "reference" / "embeddings.npy", found.embeddings.astype(np.float16))
    (building / "spec.yaml").write_text(yaml.safe_dump(SPEC.model_dump(mode="json")), encoding="utf-8")
    files = home / "stages" / "ingest" / "k" / "files"
    files.mkdir(parents=True)
    base = [
        {"id": f"b{number}", "text": text, "label": LABELS[number % 3], "group": f"g{number}", "source": "web"}
        for number, text in enumerate(messages(60, seed=5))
    ]
    write_jsonl(files / "messages.jsonl", base)
    manifest = Manifest.of(files)
    ingest = DatasetVersion(
        repo=None, rev=manifest.digest, path="unused", uri="stages/ingest/k", manifest_digest=manifest.digest,
        num_files=1, num_bytes=1,
    )  # fmt: skip
    lineage = {"schema": 1, "records": {"ingest": ingest.to_dict()}}
    (building / "lineage.json").write_text(canonical_json(lineage), encoding="utf-8")
    Manifest.of(building).write(building)
    (home / "packages").mkdir()
    building.rename(home / "packages" / digest)
    ledger = open_ledger()
    fence = ledger.issue_fence(SPEC.name)
    promotion = ledger.prepare(
        spec=SPEC.name, model_digest=digest, verdict_digest="v", expected_digest=None, expected_seq=0,
        package_uri=f"packages/{digest}", fence=fence, actor="test", reason="test",
    )  # fmt: skip
    ledger.commit(promotion.promotion_id, fence)
    write_durable(home / "suite.json", canonical_json(SUITE))
    spec = SPEC.model_copy(update={"validation": ValidationSpec(suite=str(home / "suite.json"))})
    return Production(store, ledger, spec, digest)


@pytest.fixture(name="messages")
def messages_fixture() -> Any:
    """`messages(n, seed, words, low, high)`: random word strings."""
    return messages
