"""The page shows what the ledger says, escapes it, and hands out reports and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from ftcore.ledger import GATE_DECISION, open_ledger
from ftcore.stack.page import overviews, render, report_file
from ftcore.store import Store

EVIL = "<script>alert(1)</script>"


def test_it_shows_run_verdict_drift_and_request_and_escapes_them() -> None:
    ledger = open_ledger()
    run = {
        "url": "http://127.0.0.1/r",
        "outcome": "kept",
        "reasons": [EVIL],
        "links": {"Data Docs": "stages/validate/k/i.html"},
    }
    ledger.append(
        "run_finished", "intents", run | {"verdict": {"outcome": "FAIL", "reasons": ["too small a gain"]}}, "airflow"
    )
    ledger.append(
        "drift.decision", "intents", {"verdict": "drift", "reasons": ["labels moved"], "report_uri": None}, "watch"
    )
    ledger.open_request("intents", f"drift {EVIL}", "w1")
    html = render(overviews(ledger, ["intents", "other"]), "/ftcore")
    assert "<script>" not in html
    assert html.count("&lt;script&gt;") == 2
    for text in (
        "too small a gain",
        "labels moved",
        "waiting for labelled data",
        'href="/ftcore/files/stages/validate/k/i.html"',
    ):
        assert text in html
    assert html.count("<article>") == 2


def test_the_newest_verdict_wins_and_later_runs_without_one_do_not_hide_it() -> None:
    ledger = open_ledger()
    plain = {"url": "", "outcome": "crashed", "reasons": [], "links": {}}
    ledger.append("run_finished", "intents", plain | {"verdict": {"outcome": "FAIL", "reasons": []}}, "airflow")
    ledger.append("run_finished", "intents", plain, "airflow")
    (row,) = overviews(ledger, ["intents"])
    assert row.verdict is not None and (row.verdict["outcome"], row.verdict["uri"]) == ("FAIL", None)
    assert row.run is not None
    assert row.run.payload["outcome"] == "crashed"


def test_a_verdict_of_a_run_by_hand_is_shown_with_its_reports() -> None:
    """There is no end of a run in the ledger then, only the decision."""
    ledger = open_ledger()
    promoted = {"digest": "v", "verdict": {"outcome": "PASS", "reasons": ["better"], "uri": "stages/judge/a"}}
    ledger.append("promotion_evidence", "intents", promoted, "ada")
    ledger.append(GATE_DECISION, "intents", {"outcome": "FAIL", "reasons": [EVIL], "uri": "stages/judge/b"}, "ada")
    html = render(overviews(ledger, ["intents"]), "/ftcore")
    assert "FAIL" in html and "PASS" not in html.split("<body>")[1] and EVIL not in html
    assert 'href="/ftcore/files/stages/judge/b/report.html"' in html
    ledger.append(GATE_DECISION, "intents", {"outcome": "HOLD"}, "ada")  # as an earlier release wrote it
    assert "HOLD" in render(overviews(ledger, ["intents"]), "/ftcore")


@pytest.mark.parametrize(
    "uri", ["run/secrets.json", "stages/../run/secrets.json", "../outside.html", "/etc/passwd", "ledger.db", "reports/index.html",
            "stages/prepare/k/train.jsonl", "stages/link.html", "stages", ""],
)  # fmt: skip
def test_only_reports_are_handed_out(uri: str, tmp_path: Path, home: Path) -> None:
    for path in ("run/secrets.json", "stages/prepare/k/train.jsonl", "stages/validate/k/index.html", "ledger.db",
                 "reports/index.html"):  # fmt: skip
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text("x")
    (tmp_path / "outside.html").write_text("x")
    (home / "stages" / "link.html").symlink_to(tmp_path / "outside.html")
    assert report_file(Store(), uri) is None
    assert report_file(Store(), "stages/validate/k/index.html") == (home / "stages/validate/k/index.html").resolve()
