"""Which rows a window holds."""

from __future__ import annotations

from typing import Any

from ftcore.monitoring.windows import newest_window


def row(number: int, model: str = "m1") -> dict[str, Any]:
    return {"id": f"r{number}", "at": f"2026-01-01T00:00:{number:02}+00:00", "model_digest": model}


def test_newest_rows_of_this_champion_since_its_promotion() -> None:
    rows = [row(1), row(2, "m0"), row(3), row(4), row(5, "m0"), row(6)]
    window = newest_window(rows, model_digest="m1", since="2026-01-01T00:00:02+00:00", size=2)
    assert [item["id"] for item in window.rows] == ["r4", "r6"]
    assert (window.start, window.end) == (rows[3]["at"], rows[5]["at"])


def test_digest_names_rows_and_model() -> None:
    rows = [row(1), row(2)]
    first = newest_window(rows, model_digest="m1", since="", size=10)
    assert newest_window(rows, model_digest="m1", since="", size=5).digest == first.digest
    assert newest_window(rows[:1], model_digest="m1", since="", size=5).digest != first.digest
    empty = newest_window(rows, model_digest="m2", since="", size=5)
    assert (empty.rows, empty.start, empty.end) == ((), "", "")
    assert empty.digest != newest_window([], model_digest="m3", since="", size=5).digest
