"""`ftcore audit` and `ftcore champion`: every fault named, every question answered, exit codes kept."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[1] / "registry"))

from ftcore.audit.verify import LAST_VERIFIED, verify
from ftcore.cli import audit as audit_cli
from ftcore.cli import champion as champion_cli
from ftcore.data.repository import DataRepository
from ftcore.ledger import Ledger, open_ledger
from ftcore.records import DataRef, DatasetVersion, Record
from ftcore.registry.package import build_package
from ftcore.stack.child import Child
from ftcore.store import Manifest, Store, write_durable
from tests.registry.candidates import candidate, tiny_spec

SPEC = tiny_spec()


@pytest.fixture
def ledger(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")  # these questions need no MLflow
    with open_ledger() as opened:
        yield opened


def commit(ledger: Ledger, seed: int, **changed: Record) -> str:
    """Make a champion as far as the ledger goes; returns its digest."""
    records = {**candidate(SPEC, Store(), ledger, seed), **changed}
    verdict = records["judge"]
    head = ledger.head(SPEC.name)
    ledger.append("promotion_evidence", SPEC.name, {"digest": verdict.digest, "verdict": verdict.to_dict()}, "ada")
    fence = ledger.issue_fence(SPEC.name)
    prepared = ledger.prepare(
        spec=SPEC.name, model_digest=records["train"].digest, verdict_digest=verdict.digest,
        expected_digest=head.model_digest if head else None, expected_seq=head.seq if head else 0,
        package_uri=build_package(SPEC, records, Store()), fence=fence, actor="ada", reason="better",
    )  # fmt: skip
    return ledger.commit(prepared.promotion_id, fence).model_digest


def faults(ledger: Ledger) -> dict[str, tuple[str, ...]]:
    return {check.name: check.faults for check in verify(ledger, Store()).checks if check.faults}


def test_verify_lists_every_fault_and_stops_at_none(ledger: Ledger, home: Path) -> None:
    digest = commit(ledger, 1)
    data = home / "plain"
    data.mkdir()
    ledger.record_data_version(SPEC.name, DataRef(repo=None, rev="0" * 64, path=str(data)), "d", 1)
    (home / "packages" / digest / "spec.yaml").write_text("changed")
    (home / "packages" / digest / "extra").write_text("added")
    found = faults(ledger)
    assert found["packages"] == (f"{digest[:12]}: added: extra; changed: spec.yaml",)
    assert len(found["data versions"]) == 2  # the repository is not there, the folder has changed
    assert "does not answer" in found["alias"][0]
    assert "chain" not in found


@pytest.fixture
def version(home: Path) -> DatasetVersion:
    """A data version in a repository of its own, as ingest records it."""
    seed = home / "seed"
    write_durable(seed / "rows.jsonl", "{}\n")
    ref, files = DataRepository(home, SPEC.name).ensure(seed), Manifest.of(seed)
    return DatasetVersion(
        repo=ref.repo, rev=ref.rev, path=ref.path, uri="stages/ingest/x", manifest_digest=files.digest, num_files=1,
        num_bytes=3, remote=ref.remote,
    )  # fmt: skip


def spoil(home: Path, change: Callable[[Path], object]) -> None:
    """Do something to every DVC object of `version`, in cache and remote."""
    for folder in (home / "datasets" / SPEC.name / ".dvc" / "cache", home / "datasets" / f"{SPEC.name}-remote"):
        for path in [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".dir"]:
            path.chmod(0o644)
            change(path)


def test_a_champions_data_are_pulled_and_compared(ledger: Ledger, home: Path, version: DatasetVersion) -> None:
    commit(ledger, 1, ingest=version)
    assert "data versions" not in faults(ledger)
    spoil(home, lambda path: path.write_text("damaged"))
    [fault] = faults(ledger)["data versions"]
    assert f"version {version.rev[:12]} of intents is damaged: rows.jsonl arrived damaged" in fault
    spoil(home, lambda path: path.unlink())
    [fault] = faults(ledger)["data versions"]
    assert "of intents cannot be reached" in fault
    assert "lacks objects of data" in fault
    assert list((home / "tmp").iterdir()) == []
    assert all(not check.faults for check in verify(ledger, Store(), pull_data=False).checks if "data" in check.name)


def test_other_rows_than_recorded_are_damage(ledger: Ledger, version: DatasetVersion) -> None:
    commit(ledger, 1, ingest=replace(version, manifest_digest="0" * 64))
    [fault] = faults(ledger)["data versions"]
    assert "is damaged: Its files are not those that were recorded" in fault


def test_only_the_champion_of_now_is_pulled(ledger: Ledger, home: Path, version: DatasetVersion) -> None:
    commit(ledger, 1, ingest=version)
    commit(ledger, 2, ingest=replace(version, repo=None, path=str(home / "seed"), rev=version.manifest_digest))
    spoil(home, lambda path: path.unlink())
    assert "data versions" not in faults(ledger)


def test_a_network_fault_is_no_damage(ledger: Ledger, home: Path, version: DatasetVersion) -> None:
    commit(ledger, 1, ingest=version)
    shutil.rmtree(home / "datasets" / SPEC.name / ".dvc" / "cache")
    settings = home / "datasets" / SPEC.name / ".dvc" / "config"
    settings.write_text(settings.read_text().replace(f"../../{SPEC.name}-remote", "http://127.0.0.1:9/x"))
    [fault] = faults(ledger)["data versions"]
    assert f"version {version.rev[:12]} of intents could not be checked" in fault


def test_missing_package_of_a_champion_is_a_fault(ledger: Ledger, home: Path) -> None:
    digest = commit(ledger, 1)
    (home / "packages" / digest).rename(home / "elsewhere")
    assert digest[:12] in faults(ledger)["packages"][0]


def test_a_tail_cut_off_and_chained_anew_is_found_by_the_next_verification(ledger: Ledger, home: Path) -> None:
    for number in (1, 2):
        ledger.append("note", SPEC.name, {"n": number}, "ada")
    assert faults(ledger) == {}
    kept = json.loads((home / LAST_VERIFIED).read_text())
    assert kept == {"seq": 2, "hash": ledger.verify().last_hash}
    with sqlite3.connect(home / "ledger.db") as intruder:
        intruder.execute("DROP TRIGGER events_no_delete")
        intruder.execute("DELETE FROM events WHERE seq = 2")
    ledger.append("note", SPEC.name, {"n": "another"}, "eve")  # the chain by itself is whole again
    assert ledger.verify().ok
    for _ in range(2):  # a fault is not forgotten by having been told
        [fault] = faults(ledger)["chain"]
        assert f"event 2 ({kept['hash'][:12]}), verified before, is gone" in fault
    (home / LAST_VERIFIED).write_text("{")
    assert "cannot be read" in faults(ledger)["chain"][0]
    (home / LAST_VERIFIED).unlink()
    assert faults(ledger) == {}


def test_the_alert_of_a_failed_audit_names_the_first_faults(ledger: Ledger, home: Path) -> None:
    digest = commit(ledger, 1)
    (home / "packages" / digest / "spec.yaml").write_text("changed")
    answer = Child(["audit", "verify", "--json"]).run(lambda line: None)
    assert answer.document is not None
    assert f"packages: {digest[:12]}: changed: spec.yaml" in answer.explain()


def test_why_answers_for_a_model(ledger: Ledger) -> None:
    digest = commit(ledger, 1)
    command = [sys.executable, "-m", "ftcore", "audit", "why", digest[:8], "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    answer = json.loads(done.stdout)
    assert (answer["model_digest"], answer["approver"], answer["verdict"]["outcome"]) == (digest, "ada", "PASS")
    assert answer["data"]["rev"] == "a" * 40
    assert answer["base_model"]["name"] == SPEC.base_model.name
    assert answer["metrics"]["candidate"]["accuracy"]["value"] == 0.9


def test_pack_is_checked_without_ftcore(ledger: Ledger, tmp_path: Path) -> None:
    commit(ledger, 1)
    ledger.append("note", "another_spec", {"secret": "not for this auditor"}, "bob")
    result = CliRunner().invoke(audit_cli.app, ["export", SPEC.name, "--out", str(tmp_path / "pack.zip")])
    assert result.exit_code == 0, result.output
    with zipfile.ZipFile(tmp_path / "pack.zip") as pack:
        pack.extractall(tmp_path / "pack")
    assert "not for this auditor" not in (tmp_path / "pack" / "events.jsonl").read_text()
    check = [sys.executable, "-I", "check.py"]
    assert (
        "ok: 5 events"
        in subprocess.run(check, cwd=tmp_path / "pack", capture_output=True, text=True, check=True).stdout
    )
    events = tmp_path / "pack" / "events.jsonl"
    events.write_text(events.read_text().replace("better", "bitter"))
    assert subprocess.run(check, cwd=tmp_path / "pack", capture_output=True, check=False).returncode != 0


def test_exit_codes_and_json(ledger: Ledger) -> None:
    run = CliRunner().invoke
    assert json.loads(run(champion_cli.app, ["show", SPEC.name, "--json"]).output)["champion"] is None
    first, second = commit(ledger, 1), commit(ledger, 2)
    answer = run(audit_cli.app, ["verify", "--json"])
    assert (answer.exit_code, json.loads(answer.stdout)["ok"]) == (1, False)  # MLflow is down: alias not verified
    rolled = run(champion_cli.app, ["rollback", SPEC.name, "--reason", "worse on refunds", "--actor", "bob"])
    assert (rolled.exit_code, first in rolled.output) == (0, True)
    rows = json.loads(run(champion_cli.app, ["history", SPEC.name, "--json"]).output)["history"]
    assert [(row["model"], row["actor"], row["intent"]) for row in rows] == [
        (first, "ada", "promotion"), (second, "ada", "promotion"), (first, "bob", "rollback"),
    ]  # fmt: skip
    assert rows[2]["reason"] == "worse on refunds"
