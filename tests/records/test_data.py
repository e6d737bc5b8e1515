from __future__ import annotations

import json

from ftcore.records import PreparedDataset, canonical_json, record_from_dict


def test_splits_keep_the_order_of_the_pipeline_through_the_store() -> None:
    counts = {"train": 3, "validation": 2, "test": 1}
    record = PreparedDataset(
        uri="", content_digest="", train_digest="", labels=(), num_rows=counts, num_quarantined={}, num_tokens={},
        test_digest="", num_label_suspects={"test": 1, "train": 2},
    )  # fmt: skip
    back = record_from_dict(json.loads(canonical_json(record.to_dict())))
    assert isinstance(back, PreparedDataset)
    assert list(back.num_rows) == list(record.num_rows) == list(counts)
    assert list(back.num_label_suspects) == ["train", "test"]
