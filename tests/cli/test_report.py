from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ftcore.store import Store
from tests.evaluation.analysis.test_finding import put


def ftcore(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ftcore", *args], capture_output=True, text=True, timeout=60)


def test_the_page_is_found_and_exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path / "home"))
    folder = put(Store(tmp_path / "home"), "key", "tiny", "b" * 64, 0)
    plain = ftcore("report", "tiny")
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.splitlines() == ["PASS, candidate bbbbbbbbbbbb, 5 rows", str(folder / "report.html")]
    out = tmp_path / "mine.html"
    answer = json.loads(ftcore("report", "tiny", "--out", str(out), "--model", "bbb", "--json").stdout)
    assert answer["page"] == str(out) and out.read_text() == "<p>page</p>" and answer["verdict"] == "PASS"
    (tmp_path / "there").mkdir()
    assert ftcore("report", "tiny", "--out", str(tmp_path / "there")).returncode == 0
    assert (tmp_path / "there" / "report.html").is_file()


def test_no_report_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path))
    failed = ftcore("report", "tiny", "--json")
    assert failed.returncode == 2 and "ftcore run SPEC" in failed.stderr
    assert json.loads(failed.stdout)["error"]["kind"] == "UsageError"


def test_open_says_so_where_there_is_no_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTCORE_HOME", str(tmp_path / "home"))
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    put(Store(tmp_path / "home"), "key", "tiny", "b" * 64, 0)
    done = ftcore("report", "tiny", "--open")
    assert (done.returncode, "No browser could be started" in done.stderr) == (0, True), done.stderr
    monkeypatch.setenv("BROWSER", "/bin/echo opened %s")
    assert "opened file://" in ftcore("report", "tiny", "--open").stdout
