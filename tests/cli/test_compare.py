from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np


def ftcore(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ftcore", *args], capture_output=True, text=True, timeout=60)


def write_pair(folder: Path, gain: float, num_rows: int = 1200) -> tuple[str, str]:
    rng = np.random.default_rng(3)
    target = rng.integers(0, 4, num_rows)
    champion = np.where(rng.random(num_rows) < 0.75, target, (target + 1) % 4)
    roll = rng.random(num_rows)
    candidate = np.where(roll < abs(gain), target if gain > 0 else (target + 1) % 4, champion)
    paths = []
    for name, predicted in (("champion", champion), ("candidate", candidate)):
        path = folder / f"{name}.csv"
        rows = zip(target, predicted, rng.integers(0, 2, num_rows) if name == "champion" else target, strict=True)
        column = "slice" if name == "champion" else "note"
        text = "".join(f"{i},t{t},t{p},s{s}\n" for i, (t, p, s) in enumerate(rows))
        path.write_text(f"id,target,prediction,{column}\n{text}")
        paths.append(str(path))
    return paths[0], paths[1]


def run(tmp_path: Path, gain: float, *options: str) -> subprocess.CompletedProcess[str]:
    champion, candidate = write_pair(tmp_path, gain)
    return ftcore("compare", "--champion", champion, "--candidate", candidate, *options)


def test_json_answer(tmp_path: Path) -> None:
    result = run(tmp_path, 0.5, "--json", "--metric", "macro_f1", "--margin", "0.01", "--min-gain", "0.02")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "PASS" and answer["reasons"]
    assert [metric["name"] for metric in answer["metrics"]] == ["macro_f1", "accuracy"]
    wanted = {"name", "champion", "candidate", "difference", "ci_low", "ci_high", "p_value", "n", "n_needed", "method"}
    assert set(answer["metrics"][0]) == wanted
    assert {item["value"] for item in answer["slices"]} == {"s0", "s1"}


def test_text_answer(tmp_path: Path) -> None:
    result = run(tmp_path, -0.3)
    assert result.returncode == 0
    assert result.stdout.startswith("FAIL\n  - ")
    assert run(tmp_path, -0.3, "--check").returncode == 3
    assert run(tmp_path, 0.5, "--check").returncode == 0


def test_generated_text_is_compared_as_text(tmp_path: Path) -> None:
    result = run(tmp_path, 0.5, "--json", "--metric", "rouge_l")
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "PASS" and answer["metrics"][0]["name"] == "rouge_l"


def test_strictness_guards_and_floors_are_options(tmp_path: Path) -> None:
    result = run(
        tmp_path, 0.5, "--json", "--strict", "--alpha", "0.01", "--guard", "macro_f1=0.01", "--floor", "accuracy=0.99"
    )
    assert result.returncode == 0, result.stderr
    answer = json.loads(result.stdout)
    assert answer["verdict"] == "FAIL" and "below its floor of 99.00 %" in answer["reasons"][0]
    reasons = json.loads(run(tmp_path, 0.5, "--json", "--strict", "--guard", "macro_f1=0.01").stdout)["reasons"]
    assert any(line.startswith("Strict: two-sided p") for line in reasons)
    assert any(line.startswith("Holds: guard macro_f1") for line in reasons)


def test_wrong_options_are_listed_at_once(tmp_path: Path) -> None:
    wrong = (
        "--metric",
        "f2",
        "--margin",
        "-1",
        "--min-gain",
        "7",
        "--alpha",
        "2",
        "--guard",
        "f3=0.1",
        "--floor",
        "accuracy",
    )
    result = run(tmp_path, 0.1, *wrong)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert all(f"{name}" in result.stderr for name in (*wrong[::2], "f3", "wanted METRIC=NUMBER"))


def test_bad_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,target\n1,x\n")
    path = str(tmp_path / "a.csv")
    result = ftcore("compare", "--champion", path, "--candidate", path)
    assert result.returncode == 3
    assert "no column prediction" in result.stderr and "Traceback" not in result.stderr


def test_no_slow_library_is_imported(tmp_path: Path) -> None:
    champion, candidate = write_pair(tmp_path, 0.1, 300)
    code = (
        "import sys; from pathlib import Path\n"
        "from ftcore.evaluation.compare import compare_files\n"
        "from ftcore.spec import GateSpec\n"
        f"compare_files(Path({champion!r}), Path({candidate!r}), GateSpec(floors={{}}))\n"
        "slow = {'pandas', 'sklearn', 'scipy', 'torch', 'transformers', 'pyarrow', 'datasets'} & set(sys.modules)\n"
        "assert not slow, slow\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
