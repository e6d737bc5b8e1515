from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import IntegrityError
from ftcore.records import (
    Comparison,
    DataRef,
    PreparedDataset,
    RetrainRequest,
    TrainingRun,
    Verdict,
    canonical_json,
    digest_of,
    record_from_dict,
)

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VERDICT = st.builds(
    Verdict, uri=st.text(), outcome=st.sampled_from(["PASS", "FAIL", "NOT ENOUGH EVIDENCE"]),
    reasons=st.lists(st.text()).map(tuple), candidate_digest=st.text(), champion_digest=st.none() | st.text(),
    champion_seq=st.integers(), evaluation_digest=st.text(), gate_digest=st.text(), test_digest=st.text(),
    refused=st.lists(st.text()).map(tuple),
    metrics=st.lists(st.builds(
        Comparison, name=st.text(), champion=NUMBER, candidate=NUMBER, difference=NUMBER, ci_low=NUMBER, ci_high=NUMBER,
        p_value=NUMBER, n=st.integers(), n_needed=st.integers(),
    )).map(tuple),
)  # fmt: skip


@given(VERDICT)
def test_round_trip_through_json(verdict: Verdict) -> None:
    assert record_from_dict(json.loads(json.dumps(verdict.to_dict()))) == verdict


def test_nested_optional_record_round_trips() -> None:
    data = DataRef(repo="/r", rev="abc", path="data", reason="feedback")
    request = RetrainRequest(request_id="1", spec="s", reason="drift", opened_at="now", data=data)
    assert record_from_dict(request.to_dict()) == request


def test_identity_of_a_training_run_is_its_model() -> None:
    common: dict[str, Any] = {
        "uri": "u", "model_digest": "m", "base_digest": "b", "base_name": "n", "data_digest": "d", "method": "full",
        "device": "cpu", "precision": "fp32", "num_steps": 1, "num_epochs": 1.0, "best_step": 1,
        "best_validation_loss": 0.1, "num_trainable": 1, "num_parameters": 1, "samples_per_s": 1.0,
    }  # fmt: skip
    assert TrainingRun(**common, train_s=1.0).digest == TrainingRun(**common, train_s=2.0).digest == "m"


@pytest.mark.parametrize("change", [{"kind": "verdikt"}, {"schema": 99}, {"surprise": 1}])
def test_foreign_records_are_refused(change: dict[str, object]) -> None:
    request = RetrainRequest(request_id="1", spec="s", reason="r", opened_at="now")
    with pytest.raises(IntegrityError):
        record_from_dict({**request.to_dict(), **change})


def test_canonical_json_has_one_form_and_no_nan() -> None:
    assert canonical_json({"b": 1, "a": [1, "é"]}) == '{"a":[1,"é"],"b":1}'
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"loss": float("nan")})


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
