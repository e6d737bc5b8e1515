from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from ftcore.validation.expectations import run_suite
from ftcore.validation.suggest import suggest_suite
from ftcore.validation.suites import load_suite
from ftcore.validation.surroundings import Surroundings
from tests.validation.test_triggers import make_set

Splits = dict[Any, list[dict[str, Any]]]


def splits() -> Splits:
    made: Splits = {}
    for seed, (split, size) in enumerate({"train": 400, "validation": 60, "test": 80}.items()):
        texts, labels = make_set(size, seed)
        made[split] = [
            {
                "id": f"{split}{n}",
                "text": f"{text} {n}",
                "label": label,
                "source": random.Random(n).choice(["chat", "mail"]),
            }
            for n, (text, label) in enumerate(zip(texts, labels, strict=True))
        ]
    return made


def judged(tmp_path: Path, suite: dict[str, Any], data: Splits, around: Surroundings = Surroundings()) -> list[str]:
    path = tmp_path / "suggested.json"
    path.write_text(json.dumps(suite))
    result = run_suite(load_suite(path), data, tmp_path / "docs", around)
    return [line for report in result.reports for line in report.failed] + sorted(set(result.quarantine.values()))


def test_a_suggested_suite_holds_for_its_own_set_and_not_for_a_broken_one(tmp_path: Path) -> None:
    data = splits()
    suite = suggest_suite(data)
    assert all("kwargs" in item and len(item["meta"]["notes"]) > 10 for item in suite["expectations"])
    assert judged(tmp_path, suite, data) == []
    broken = {
        "train": [
            row | {"label": row["text"], "text": "caf\u00c3\u00a9 \u200b" + row["label"], "source": "feed"}
            for row in data["train"][:100]
        ],
        "validation": data["validation"], "test": data["test"],
    }  # fmt: skip
    faults = "\n".join(judged(tmp_path, suite, broken))
    for what in ("row_count", "in_set(label)", "undamaged", "hidden", "distinct", "new_source"):
        assert what in faults


def test_answers_are_profiled_too(tmp_path: Path) -> None:
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "there"}]
    rows = [{"id": f"r{n}", "text": f"hi {n}", "completion": f"there {n}", "messages": messages} for n in range(40)]
    around = Surroundings(task="instruction")
    suite = suggest_suite({"train": rows}, around)
    assert judged(tmp_path, suite, {"train": rows}, around) == []
    mute = [row | {"messages": messages[:1]} for row in rows]
    assert any("take_turns" in line for line in judged(tmp_path, suite, {"train": mute}, around))


def test_a_set_without_text_or_labels_gives_a_suite_all_the_same() -> None:
    rows = [{"id": "1", "text": None, "label": None}]
    assert suggest_suite({"train": rows, "test": []})["expectations"]


def test_limits_have_slack_and_notes_say_what_was_seen() -> None:
    data = splits()
    for row in data["train"][:8]:
        row["text"] += " caf\u00c3\u00a9"
    (damage,) = [item for item in suggest_suite(data)["expectations"] if item["type"].endswith("undamaged")]
    assert damage["kwargs"]["mostly"] == 0.955  # 2 % may double, and half a percent may come on top
    assert "8 of 400 rows in train" in damage["meta"]["notes"]
