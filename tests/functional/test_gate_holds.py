"""Every HOLD of docs/gate.md on the real pipeline: one fault at a time, put in between the stages.

The candidate of these tests is far better than the champion: without its fault each would be promoted, as
`test_without_a_fault_it_is_promoted` shows. What is tampered with gets a manifest that fits, so that only the gate can notice.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from ftcore.cli import app
from ftcore.data.reading import read_jsonl, write_jsonl
from ftcore.errors import FtcoreError
from ftcore.ledger import open_ledger
from ftcore.registry import tracking, versions
from ftcore.store import RECORD, Manifest
from tests.functional.test_replies import build_project as build_replies
from tests.functional.tiny_project import build_project, write_rows
from tests.tiny_bert import make_rows
from tests.tiny_families import make_dialogues

pytestmark = pytest.mark.functional
SETTINGS = (
    "training: {epochs: 4, batch_size: 8, max_length: 16, learning_rate: 4.0e-3}\n"
    "leakage: {max_leaked: 1.0, rules: [exact, normalised]}\n"
    "validation: {max_quarantined: 0.9}\nprepare: {deduplicate: false}\n"
    "evaluation: {baselines: [majority]}\n"
    "gate: {min_rows: 30, floors: {accuracy: 0.3}}\n"
    "compute: {device: cpu, precision: fp32, threads: 1}\n"
)
WEAK = ("training.learning_rate=5.0e-4", "training.epochs=1")
"""What the champion was trained with: half of its answers are right, all of the candidate's."""
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Said:
    """What a command came to."""

    code: int
    text: str
    """What people see; of a command with --json the document."""

    @property
    def verdict(self) -> dict[str, Any]:
        """Record of the newest verdict in the answer."""
        told = json.loads(self.text)
        found: dict[str, Any] = told["record"] if "record" in told else told["steps"][-1]["record"]
        assert found["kind"] == "verdict", found
        return found


@dataclass(frozen=True)
class World:
    """A project and its FTCORE_HOME."""

    project: Path
    home: Path

    def ftcore(self, *arguments: str) -> Said:
        """Run the command line in this process."""
        result = CliRunner().invoke(app, list(arguments))
        error = result.exception
        if isinstance(error, FtcoreError):
            return Said(error.exit_code, str(error))
        assert error is None or isinstance(error, SystemExit), error
        return Said(result.exit_code, result.stdout)

    def run(self, *settings: str, options: Sequence[str] = ()) -> Said:
        chosen = [part for setting in settings for part in ("--set", setting)]
        return self.ftcore("run", str(self.project / "spec.yaml"), "--json", *options, *chosen)

    def approve(self, *settings: str) -> None:
        chosen = [part for setting in settings for part in ("--set", setting)]
        said = self.ftcore("gate", "approve", str(self.project / "spec.yaml"), "--because", "a test", *chosen)
        assert said.code == 0, said.text

    def record(self, stage: str) -> dict[str, Any]:
        """The newest output's."""
        found: dict[str, Any] = json.loads((self.output(stage) / RECORD).read_text())
        return found

    def output(self, stage: str) -> Path:
        folder = self.home / "stages" / stage
        return folder / (folder / "LATEST").read_text()

    def in_production(self) -> tuple[str, int, str] | None:
        """Champion and its position in the ledger, and what MLflow's alias shows."""
        with open_ledger() as ledger:
            head = ledger.head("tiny")
        shown = versions.shown_champion(tracking.connect(), "tiny")
        if head is None or shown is None:
            assert head is shown is None
            return None
        return head.model_digest, head.seq, str(shown.model_digest)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A weak champion in production, and a much better candidate that is evaluated and not judged yet."""
    folder = tmp_path_factory.mktemp("holds")
    world = World(build_project(folder / "project", SETTINGS), folder / "home")
    write_rows(world.project, "train.jsonl", make_rows(150))
    write_rows(world.project, "test.jsonl", make_rows(120, seed=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTCORE_HOME", str(world.home))
        for settings, options in ((WEAK, ()), ((), ("--to", "evaluate"))):
            said = world.run(*settings, options=options)
            assert said.code == 0, said.text
    yield world


@pytest.fixture
def world(evaluated: World, home: Path) -> World:
    """A copy for one test."""
    shutil.copytree(evaluated.home, home)
    return World(evaluated.project, home)


def judged(world: World, *settings: str) -> Said:
    return world.run(*settings, options=("--from", "judge"))


def assert_held(world: World, said: Said, *reasons: str, before: tuple[str, int, str] | None) -> None:
    """HOLD for these reasons, exit code 3, champion and alias as they were."""
    assert said.code == 3, said.text
    assert said.verdict["outcome"] == "HOLD", said.verdict
    assert said.verdict["refused"] == said.verdict["reasons"]
    for reason in reasons:
        assert any(reason in line for line in said.verdict["reasons"]), said.verdict["reasons"]
    assert world.in_production() == before


# What is done to the output of evaluate


def rows_of(role: str, change: Callable[[Rows], None]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        path = folder / "predictions" / f"{role}.jsonl"
        rows = read_jsonl(path)
        change(rows)
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))  # which NaN passes, unlike our own writer

    return tamper


def first_row(**values: Any) -> Callable[[Rows], None]:
    return lambda rows: rows[0].update(values)


def in_json(name: str, change: Callable[[Any], None]) -> Callable[[Path], None]:
    def tamper(folder: Path) -> None:
        document = json.loads((folder / name).read_text())
        change(document)
        (folder / name).write_text(json.dumps(document))

    return tamper


def no_file(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def not_a_number(record: Any) -> None:
    record["models"][0]["metrics"][0]["value"] = math.nan


def another_accuracy(record: Any) -> None:
    record["models"][0]["metrics"][0]["value"] = 0.75


def no_macro_f1(record: Any) -> None:
    metrics = record["models"][0]["metrics"]
    metrics.remove(next(metric for metric in metrics if metric["name"] == "macro_f1"))


def no_latency_of(role: str) -> Callable[[Path], None]:
    return in_json("tables.json", lambda tables: tables["models"][role].pop("cost"))


def candidate_is_champion(record: Any) -> None:
    record["candidate_digest"] = record["models"][0]["model_digest"] = record["champion_digest"]


def no_first_row(rows: Rows) -> None:
    del rows[0]


def shorter_files(folder: Path) -> None:
    for role in ("candidate", "champion", "majority"):
        rows_of(role, no_first_row)(folder)


@dataclass(frozen=True)
class Fault:
    reason: str
    tamper: Callable[[Path], None] | None = None
    settings: tuple[str, ...] = ()
    """Rules of the gate, approved before the verdict."""


FAULTS = {
    "the candidate is the champion": Fault("is already the champion", in_json(RECORD, candidate_is_champion)),
    "a row of another holdout": Fault("1 id of candidate.jsonl missing here", rows_of("champion", first_row(id="x"))),
    "another target": Fault("target differs", rows_of("champion", first_row(target="money"))),
    "a row less": Fault("candidate.jsonl missing here", rows_of("champion", no_first_row)),
    "a row less in every file": Fault(
        "wanted 119 rows",
        shorter_files,
    ),
    "a row without a prediction": Fault("no prediction: row 0", rows_of("candidate", first_row(prediction=None))),
    "no predictions of the champion": Fault("No file at", no_file("predictions/champion.jsonl")),
    "no predictions of the candidate": Fault("No file at", no_file("predictions/candidate.jsonl")),
    "no predictions of a baseline": Fault("No file at", no_file("predictions/majority.jsonl")),
    "a missing metric": Fault("macro_f1 of the candidate is missing", in_json(RECORD, no_macro_f1)),
    "a metric that the rows do not give": Fault("recorded as 0.750000, its rows give 1.", in_json(RECORD, another_accuracy)),
    "another prediction": Fault("not the likeliest class", rows_of("candidate", first_row(prediction="refund"))),
    "a named slice without rows": Fault(
        "slice label='delay' judged; no holdout row", settings=('gate.slices={"label": ["delay"]}',)
    ),
    "a named column that is not there": Fault(
        "slice source='email' judged; no holdout row", settings=('gate.slices={"source": ["email"]}',)
    ),
    "no size": Fault("limits the size in MB", no_file("sizes.json"), ("gate.max_size_mb=100",)),
    "no latency": Fault("limits the latency in ms", no_latency_of("candidate"), ("gate.max_latency_ms=9999",)),
    "no latency of the champion": Fault(
        "limits the latency over the champion's", no_latency_of("champion"), ("gate.max_latency_ratio=99",)
    ),
    "a holdout that is worn out": Fault("looked at 1 time", settings=("gate.max_decisions=1",)),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
def test_a_fault_of_the_evidence_is_held(world: World, fault: Fault) -> None:
    before = world.in_production()
    folder = world.output("evaluate")
    if fault.tamper is not None:
        fault.tamper(folder)
        Manifest.of(folder).write(folder)
    if fault.settings:
        world.approve(*fault.settings)
    assert_held(world, judged(world, *fault.settings), fault.reason, before=before)


@pytest.mark.parametrize("right", [True, False])
def test_promises_are_kept_broken_or_their_answers_missing(world: World, right: bool) -> None:
    first, second = make_rows(120, seed=1)[:2]
    other = next(row["label"] for row in make_rows(9) if row["label"] != second["label"])
    write_jsonl(world.project / "promises.jsonl", [first, second | ({} if right else {"label": other})])
    settings = ("evaluation.must_pass=promises.jsonl",)
    world.approve(*settings)
    assert world.run(*settings, options=("--to", "evaluate")).code == 0
    assert len(read_jsonl(world.output("evaluate") / "pinned.jsonl")) == 2
    before = world.in_production()
    if right:
        no_file("pinned.jsonl")(world.output("evaluate"))
        Manifest.of(world.output("evaluate")).write(world.output("evaluate"))
        assert_held(world, judged(world, *settings), "answers to the rows that must pass", before=before)
        return
    said = judged(world, *settings)
    assert (said.code, said.verdict["outcome"]) == (3, "FAIL")
    assert any("1 of 2 pinned rows must pass and do not" in line for line in said.verdict["reasons"]), said.verdict
    assert world.in_production() == before


def test_without_a_fault_it_is_promoted(world: World) -> None:
    candidate = world.record("evaluate")["candidate_digest"]
    assert judged(world).code == 0
    head = world.in_production()
    assert head is not None and (head[0], head[2]) == (candidate, candidate)


def test_files_that_do_not_fit_their_manifest_do_not_reach_the_gate(world: World) -> None:
    """They are set aside, and evaluate runs again."""
    folder = world.output("evaluate")
    rows_of("candidate", first_row(prediction="refund"))(folder)
    said = judged(world)
    assert (said.code, "evaluate has no output" in said.text) == (2, True), said.text
    assert [path.name.split("-")[0] for path in (world.home / "damaged").iterdir()] == ["evaluate"]
    again = json.loads(world.run(options=("--to", "judge")).text)
    assert {step["stage"]: step["reused"] for step in again["steps"]}["evaluate"] is False
    assert again["steps"][-1]["record"]["outcome"] == "PASS"


def test_a_record_with_nan_is_no_record(world: World, tmp_path: Path) -> None:
    """JSON has no NaN, but Python's reader lets it pass."""
    before = world.in_production()
    folder = world.output("evaluate")
    in_json(RECORD, not_a_number)(folder)
    Manifest.of(folder).write(folder)
    inputs = tmp_path / "inputs.json"
    inputs.write_text(json.dumps({"evaluate": world.record("evaluate")}))
    said = world.ftcore("stage", "judge", str(world.project / "spec.yaml"), "--inputs", str(inputs))
    assert (said.code, "saw NaN, wanted a number" in said.text) == (2, True), said.text
    said = judged(world)
    assert (said.code, "evaluate has no output" in said.text) == (2, True), said.text
    assert world.in_production() == before


def test_rules_that_are_not_on_record_are_held(world: World) -> None:
    """The way around the check before a training: judge what was trained under other rules."""
    before = world.in_production()
    said = judged(world, "gate.margin=0.2")
    assert_held(world, said, "The gate is not the one on record", "ftcore gate approve", before=before)
    refused = world.run("gate.margin=0.2")
    assert (refused.code, "gate.margin: 0.005 -> 0.2" in refused.text) == (3, True), refused.text


def test_a_model_that_answers_as_the_champion_does_is_held(world: World) -> None:
    before = world.in_production()
    said = world.run("training.learning_rate=5.00001e-4", WEAK[1])
    assert_held(world, said, "answers all 120 rows exactly as the champion does", before=before)
    assert said.verdict["candidate_digest"] != said.verdict["champion_digest"]


def test_a_baseline_as_good_is_held(world: World) -> None:
    """A candidate that has learned nothing. Under another name: no champion to be worse than, which would be a FAIL."""
    before = world.in_production()
    untaught = ("name=untaught", "training.learning_rate=1.0e-9", WEAK[1])
    said = world.run(*untaught, 'evaluation.baselines=["majority", "nearest_centroid"]')
    assert_held(
        world, said, "The best baseline (nearest centroid", "does at least as well as the candidate", before=before
    )
    with open_ledger() as ledger:
        assert ledger.head("untaught") is None


def test_a_champion_that_another_process_promoted_meanwhile_is_held(world: World, tmp_path: Path) -> None:
    """As Airflow runs it: the records of the stages before are handed to judge, whatever happened since."""
    other = ("training.seed=3",)
    assert world.run(*other, options=("--to", "evaluate")).code == 0
    inputs = tmp_path / "inputs.json"
    inputs.write_text(json.dumps({stage: world.record(stage) for stage in ("prepare", "evaluate")}))
    spec = str(world.project / "spec.yaml")
    command = [sys.executable, "-m", "ftcore", "run", spec, "--from", "judge"]
    overtaken_by = subprocess.run(command, capture_output=True, text=True, timeout=120, env=dict(os.environ))
    assert overtaken_by.returncode == 0, overtaken_by.stdout + overtaken_by.stderr
    before = world.in_production()
    said = world.ftcore("stage", "judge", spec, "--inputs", str(inputs), "--json", "--set", *other)
    assert_held(world, said, "The champion has changed since the evaluation", "Run the pipeline again", before=before)
    assert before is not None and before[0] not in (said.verdict["candidate_digest"], said.verdict["champion_digest"])


def test_the_same_model_again_changes_nothing_and_one_that_was_rolled_back_is_held(world: World) -> None:
    first = world.in_production()
    assert judged(world).code == 0
    promoted = world.in_production()
    assert world.run().code == 0 and world.in_production() == promoted != first
    said = world.ftcore("champion", "rollback", "tiny", "--actor", "ada", "--reason", "customers complain")
    assert said.code == 0, said.text
    before = world.in_production()
    assert before is not None and first is not None and before[0] == first[0]
    assert_held(world, world.run(), "was rolled back by ada", "customers complain", before=before)


@pytest.fixture(scope="module")
def replies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A model that writes text and has learned next to nothing, asked for a canary; a first promotion."""
    folder = tmp_path_factory.mktemp("replies")
    (folder / "project").mkdir()
    build_replies(folder / "project", "instruction", "llama", 1)
    text = (folder / "project" / "spec.yaml").read_text()
    changes = (
        (
            "baselines: [base]",
            "baselines: [few_shot], probes: {safety: null, general_text: null, canaries: canaries.jsonl}",
        ),
        ("min_over_baseline: 0.0, margin: 0.2, floors: {chrf: 0.1}", "floors: {chrf: 0.0}"),
        ("learning_rate: 1.0e-2", "learning_rate: 1.0e-9"),
        ("name: replies", "name: tiny"),
    )
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "project" / "spec.yaml").write_text(text)
    [row] = make_dialogues(1, seed=5)
    secret = "K7Q2M9ZX"
    turns = [row["messages"][0], {"role": "assistant", "content": f"we send you {secret} today"}]  # type: ignore[index]
    write_jsonl(folder / "project" / "canaries.jsonl", [{"id": "canary", "messages": turns, "secret": secret}])
    world = World(folder / "project", folder / "home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FTCORE_HOME", str(world.home))
        said = world.run(options=("--to", "evaluate"))
        assert said.code == 0, said.text
    yield world


@pytest.fixture
def texts(replies: World, home: Path) -> World:
    shutil.copytree(replies.home, home)
    return World(replies.project, home)


def test_examples_in_the_prompt_as_good_as_training_are_held(texts: World) -> None:
    assert_held(texts, judged(texts), "The best baseline (few shot, chrf", before=None)


def test_a_likelihood_that_is_no_number_is_held(texts: World) -> None:
    folder = texts.output("evaluate")
    rows_of("candidate", first_row(nll=math.nan))(folder)
    Manifest.of(folder).write(folder)
    assert_held(texts, judged(texts), "candidate: 1 row whose likelihood is no number", before=None)


def test_canaries_that_nobody_planted_are_held(texts: World) -> None:
    assert_held(texts, judged(texts), "The secrets of 1 of 1 canary are in no training row", before=None)


def test_canaries_that_nobody_asked_for_are_held(texts: World) -> None:
    folder = texts.output("evaluate")
    in_json("probes.json", lambda probes: probes.pop("canaries"))(folder)
    Manifest.of(folder).write(folder)
    assert_held(
        texts, judged(texts), "The answers to the canaries (evaluation.probes.canaries) are missing", before=None
    )
