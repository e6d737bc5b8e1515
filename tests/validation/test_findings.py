from __future__ import annotations

import json

import pandas as pd

from ftcore.validation.findings import Finding, find_rows


def test_ten_examples_and_all_ids() -> None:
    frame = pd.DataFrame({"id": [f"r{n}" for n in range(30)], "text": ["t"] * 30}, dtype=object)
    found = find_rows(frame, list(range(5, 30)), "text", {"5": "why"})
    assert (found["num_rows"], len(found["row_ids"]), len(found["examples"])) == (25, 25, 10)
    assert (found["examples"][0].id, found["examples"][0].why) == ("r5", "why")


def test_the_file_gets_a_bounded_number_of_ids() -> None:
    finding = Finding("train", "e", "refuse", "r", "s", "n", 20_000, tuple(map(str, range(20_000))))
    plain = finding.to_dict()
    assert (len(plain["row_ids"]), plain["num_rows"]) == (10_000, 20_000)
    json.dumps(plain, allow_nan=False)
