"""One row of the table, measured in a process of its own: python -m benchmarks.methods.measure SET METHOD [--rows N].

Prints the figures as one line of JSON. Rows are prepared, models trained, saved and scored by the code of the stages.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import json
import math
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.methods.plan import Row, read_plan, spec_of, spec_of_row
from ftcore.data.reading import read_jsonl, read_splits
from ftcore.data.rows import clean_row
from ftcore.ledger import open_ledger
from ftcore.models.batches import run_all
from ftcore.models.devices import Device, choose
from ftcore.models.hardware import cpu_model
from ftcore.pipeline import run_pipeline
from ftcore.records import Metric, PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Manifest, Store
from ftcore.training.inputs import TrainingInputs, read_inputs, train_on
from ftcore.training.shots import few_shot
from ftcore.training.trainer import DurableTrainer

SMOKE_STEPS = 4
_SPEED_ROWS, _SPEED_ROUNDS = 512, 5
_LIBRARIES = ("peft", "torch", "transformers", "trl")
MB = 1e6


@dataclass(frozen=True)
class Figures:
    """What is measured of a row; None: it has no such figure."""

    metric: str
    score: float
    num_test: int
    num_train: int
    num_trainable: int = 0
    num_parameters: int | None = None
    minutes: float | None = None
    """CPU time of all phases: loading, checks, training, validation, saving and comparing what was saved."""
    samples_per_s: float | None = None
    """Training rows per second of CPU time, of the last phase, validation included."""
    peak_mb: float | None = None
    """Largest resident size of the process up to the end of training, libraries included."""
    model_mb: float | None = None
    adapter_mb: float | None = None
    share_of_teacher: float | None = None
    """Score over the score of the teacher that the run made."""
    speedup: float | None = None
    """CPU time of the teacher's predictions over that of the student's, same rows."""


@dataclass(frozen=True)
class Given:
    """Prepared data of a row."""

    spec: FineTuneSpec
    records: Mapping[str, Any]
    store: Store
    test: list[dict[str, Any]]

    @property
    def prepared(self) -> PreparedDataset:
        found: PreparedDataset = self.records["prepare"]
        return found


def prepare(row: Row) -> Given:
    """The data of a row, as `prepare` leaves them; reused if they are there.

    Raises:
        SystemExit: The data are refused.
    """
    data, store = row.data, Store()
    spec = spec_of(row, os.environ[data.data] if data.data else None)
    steps = list(run_pipeline(spec, store, open_ledger(), last="prepare"))
    if steps[-1].record.refused:
        sys.exit(f"{data.name}: refused at {steps[-1].stage}: {'; '.join(steps[-1].record.refused)}")
    records = {step.stage: step.record for step in steps}
    test = read_jsonl(store.resolve(records["prepare"].uri) / "test.jsonl")
    if data.whole_test:
        files = store.resolve(records["ingest"].uri) / "files"
        test = [clean_row(given, spec.prepare) for given in read_splits(files, spec.data, task=spec.task)["test"]]
    return Given(spec, records, store, test)


def fewer(inputs: TrainingInputs, num_rows: int) -> TrainingInputs:
    """About `num_rows` training rows, each class among them."""
    train, labels = inputs.train, inputs.labels
    train = few_shot(train, math.ceil(num_rows / len(labels)), seed=0) if labels else train[:num_rows]
    preferences = list(inputs.extra.preferences)[:num_rows]
    return replace(
        inputs,
        train=train,
        validation=inputs.validation[:num_rows],
        extra=replace(inputs.extra, preferences=preferences),
    )


def train_row(row: Row, given: Given, num_rows: int | None) -> Figures:
    """Train as the row says, save, and score what was saved."""
    spec = spec_of_row(row, given.spec)
    if num_rows:
        training = spec.training.model_copy(update={"max_steps": SMOKE_STEPS})
        spec = spec.model_copy(update={"training": training, "method": spec.method.model_copy(update={"shots": None})})
    device = choose(spec.compute)
    inputs = read_inputs(spec, given.records, given.store)
    inputs, test = (fewer(inputs, num_rows), given.test[:num_rows]) if num_rows else (inputs, given.test)
    with tempfile.TemporaryDirectory(prefix="ftcore-methods-") as temporary:
        checkpoints, output = Path(temporary) / "checkpoints", Path(temporary) / "output"
        output.mkdir()
        started = time.process_time()
        with training_cpu_s() as spent:
            tuned = train_on(inputs, spec, device, checkpoints, output).tuned
        minutes, peak_mb = (time.process_time() - started) / 60, _peak_mb()
        samples_per_s = tuned.samples_per_s * tuned.train_s / spent[-1]
        metric, score = score_model(output / "model", test, spec, device)
        teacher = checkpoints / "teacher" / "output" / "model"
        compared: dict[str, float] = {}
        if teacher.is_dir():
            compared = {
                "share_of_teacher": score / score_model(teacher, test, spec, device)[1],
                "speedup": speedup(output / "model", teacher, test, spec, device),
            }
        adapter = next((path for path in (output / "adapter", output / "model" / "adapter") if path.is_dir()), None)
        shots = spec.method.shots
        return Figures(
            metric, score, len(test), len(inputs.labels) * shots if shots else len(inputs.train), tuned.num_trainable,
            tuned.num_parameters, minutes, samples_per_s, peak_mb, _mb(output / "model"),
            _mb(adapter) if adapter else None, **compared,
        )  # fmt: skip


@contextlib.contextmanager
def training_cpu_s() -> Iterator[list[float]]:
    """CPU seconds of each training inside the block."""
    train, spent = DurableTrainer.train, []

    def timed(self: DurableTrainer, *arguments: Any, **more: Any) -> Any:
        started = time.process_time()
        try:
            return train(self, *arguments, **more)
        finally:
            spent.append(time.process_time() - started)

    DurableTrainer.train = timed
    try:
        yield spent
    finally:
        DurableTrainer.train = train


def ask_baseline(row: Row, given: Given, num_rows: int | None) -> Figures:
    """Score a baseline of the evaluation. Nothing is trained; few-shot sets give it their rows alone."""
    assert row.baseline is not None
    spec = spec_of_row(row, given.spec)
    spec = spec.model_copy(update={"evaluation": spec.evaluation.model_copy(update={"baselines": [row.baseline]})})
    inputs, device = read_inputs(spec, given.records, given.store), choose(spec.compute)
    train, test, shots = inputs.train, given.test, spec.method.shots
    if num_rows:
        train, test = fewer(inputs, num_rows).train, test[:num_rows]
    elif shots:
        train = few_shot(train, shots, spec.training.seed)
    device.prepare()
    if spec.task == "classification":
        from ftcore.evaluation.classification import scoring

        found = scoring.baseline_answers(row.baseline, train, test, spec, device, lambda *_: run_all)
        answers = {row.baseline: found}
        metrics = scoring.score_all(scoring.gather_holdout(test, answers, ()), answers)[0].metrics
    else:
        from ftcore.evaluation.generation import scoring as replies

        said = dict(replies.baseline_answers(train, test, spec, device, lambda *_: run_all))
        metrics = replies.score_all(replies.gather_holdout(test, said, ()), said)[0].metrics
    return Figures(spec.gate.metric, _value(metrics, spec.gate.metric), len(test), len(train))


def score_model(folder: Path, test: list[dict[str, Any]], spec: FineTuneSpec, device: Device) -> tuple[str, float]:
    """The gate's metric, and its value for a saved model."""
    digest, metric = Manifest.read(folder).digest, spec.gate.metric
    if spec.task == "classification":
        from ftcore.evaluation.classification import scoring

        answers = {"candidate": scoring.answers_of(scoring.classify(folder, digest, test, spec, device), digest)}
        found = scoring.score_all(scoring.gather_holdout(test, answers, ()), answers)
    else:
        from ftcore.evaluation.generation import scoring as replies
        from ftcore.evaluation.generation.baselines import prompt_of

        generator = replies.generator_of(folder, digest, spec, device)
        said = {"candidate": replies.answer(generator, digest, [prompt_of(row, spec.task) for row in test], test)}
        found = replies.score_all(replies.gather_holdout(test, said, ()), said)
    return metric, _value(found[0].metrics, metric)


def _value(metrics: Sequence[Metric], name: str) -> float:
    return next(metric.value for metric in metrics if metric.name == name)


def speedup(student: Path, teacher: Path, test: list[dict[str, Any]], spec: FineTuneSpec, device: Device) -> float:
    """CPU time of the teacher over that of the student on the same rows: the fastest of alternating runs of each."""
    fastest = {student: math.inf, teacher: math.inf}
    answer = {folder: _answerer(folder, test, spec, device) for folder in fastest}
    for run in answer.values():
        run(1)
    for _ in range(_SPEED_ROUNDS):
        for folder, run in answer.items():
            started = time.process_time()
            run(_SPEED_ROWS)
            fastest[folder] = min(fastest[folder], time.process_time() - started)
    return fastest[teacher] / fastest[student]


def _answerer(folder: Path, test: list[dict[str, Any]], spec: FineTuneSpec, device: Device) -> Callable[[int], object]:
    """What answers the first rows of a test split with a saved model: classes; or the likelihood of the answers given, which
    says how fast a model is whatever the length of what it would write."""
    if spec.task == "classification":
        from ftcore.models.inference import Predictor
        from ftcore.models.loading import load_classifier

        texts = [row["text"] for row in test]
        predictor = Predictor(load_classifier(folder), device, spec.training.max_length, spec.evaluation.batch_size)
        return lambda num: predictor.predict(texts[:num])
    from ftcore.evaluation.generation import scoring as replies
    from ftcore.evaluation.generation.baselines import prompt_of

    prompts, wanted = [prompt_of(row, spec.task) for row in test], [row["completion"] for row in test]
    generator = replies.generator_of(folder, Manifest.read(folder).digest, spec, device)
    return lambda num: generator.log_likelihoods(prompts[:num], wanted[:num])


def _peak_mb() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / MB if sys.platform == "darwin" else peak * 1024 / MB


def _mb(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / MB


def machine(spec: FineTuneSpec) -> dict[str, Any]:
    """Where and with what it was measured."""
    device = choose(spec.compute)
    return {
        "cpu": cpu_model() or platform.processor() or platform.machine(), "threads": device.threads,
        "device": device.device, "precision": device.precision,
        "libraries": {name: importlib.metadata.version(name) for name in _LIBRARIES},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set")
    parser.add_argument("method")
    parser.add_argument("--prepare", action="store_true", help="only prepare its data; measure nothing")
    parser.add_argument(
        "--rows", type=int, help="so many rows and a few steps: shows that it runs, not what it is worth"
    )
    arguments = parser.parse_args()
    row = next(row for row in read_plan() if row.data.name == arguments.set and row.method == arguments.method)
    given = prepare(row)
    if arguments.prepare:
        return
    work = ask_baseline if row.baseline else train_row
    figures = {name: value for name, value in asdict(work(row, given, arguments.rows)).items() if value is not None}
    print(json.dumps({**figures, **machine(spec_of_row(row, given.spec)), "data": given.prepared.digest[:12]}))


if __name__ == "__main__":
    main()
