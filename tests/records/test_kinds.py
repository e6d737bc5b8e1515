from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ftcore.errors import IntegrityError
from ftcore.records import Comparison, DataRef, RetrainRequest, Verdict, record_from_dict

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
VERDICT = st.builds(
    Verdict, uri=st.text(), outcome=st.sampled_from(["PASS", "FAIL", "NOT ENOUGH EVIDENCE"]),
    reasons=st.lists(st.text()).map(tuple), candidate_digest=st.text(), champion_digest=st.none() | st.text(),
    champion_seq=st.integers(), evaluation_digest=st.text(), gate_digest=st.text(), rules_digest=st.text(), test_digest=st.text(),
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


@pytest.mark.parametrize("change", [{"kind": "verdikt"}, {"schema": 99}, {"surprise": 1}])
def test_foreign_records_are_refused(change: dict[str, object]) -> None:
    request = RetrainRequest(request_id="1", spec="s", reason="r", opened_at="now")
    with pytest.raises(IntegrityError):
        record_from_dict({**request.to_dict(), **change})
