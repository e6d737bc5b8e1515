from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from subprocess import run

import pytest

from ftcore.errors import IntegrityError, UsageError
from ftcore.evaluation.analysis.finding import find_report
from ftcore.store import Manifest, Store


def put(store: Store, key: str, spec: str, digest: str, age_s: int) -> Path:
    folder = store.root / "stages" / "judge" / key
    folder.mkdir(parents=True)
    report = {"spec": spec, "num_rows": 5, "faults": [], "verdict": {"verdict": "PASS", "candidate_digest": digest}}
    (folder / "analysis.json").write_text(json.dumps(report))
    (folder / "report.html").write_text("<p>page</p>")
    Manifest.of(folder).write(folder)
    os.utime(folder / "MANIFEST.json", (1_000_000 - age_s, 1_000_000 - age_s))
    return folder


def test_the_newest_of_a_spec_or_that_of_a_model(tmp_path: Path) -> None:
    store = Store(tmp_path)
    put(store, "old", "tiny", "a" * 64, 50)
    new = put(store, "new", "tiny", "b" * 64, 10)
    put(store, "other", "other", "c" * 64, 0)
    assert find_report(store, "tiny").page == new / "report.html"
    found = find_report(store, "tiny", "aaa")
    assert (found.candidate_digest, found.verdict, found.num_rows, found.num_faults) == ("a" * 64, "PASS", 5, 0)
    assert json.loads(json.dumps(found.to_dict()))["spec"] == "tiny"


def test_none_is_a_usage_error_that_says_what_there_is(tmp_path: Path) -> None:
    store = Store(tmp_path)
    with pytest.raises(UsageError, match="No report of tiny") as error:
        find_report(store, "tiny")
    assert error.value.hint == "ftcore run SPEC"
    put(store, "new", "tiny", "b" * 64, 10)
    put(store, "again", "tiny", "b" * 64, 20)
    with pytest.raises(UsageError, match="newest: bbbbbbbbbbbb\\."):
        find_report(store, "tiny", "fff")


def test_outputs_without_a_report_are_passed_over_and_changed_ones_refused(tmp_path: Path) -> None:
    store = Store(tmp_path)
    older = put(store, "older", "tiny", "b" * 64, 10)
    bare = put(store, "bare", "tiny", "c" * 64, 0)
    (bare / "analysis.json").write_text("[]")
    assert find_report(store, "tiny").page.parent == older
    (older / "report.html").write_text("<p>other</p>")
    with pytest.raises(IntegrityError):
        find_report(store, "tiny")


def test_it_loads_no_library_of_the_analysis() -> None:
    text = "import sys, ftcore.evaluation.analysis.finding; print(sorted({'numpy', 'sklearn', 'scipy'} & sys.modules.keys()))"
    done = run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
