"""ftcore's instruction tuning against TRL's SFTTrainer with its defaults: same model, rows, batch size, updates and rate.

    python -m benchmarks.instruction [--shape tiny|1b] [--rows 256] [--method full|lora] [--rounds 1] [--packing]

On the shipped conversations (dvc pull replies.dvc models/tiny-chat.dvc). `tiny` is the shipped base model, `1b` has the shape of
Llama 3.2 1B and random weights, for a GPU. Both sides learn the last answers of the same conversations and validate once. Prints
tokens per second without padding (medians by the clock and by CPU time), their ratio, the loss per answer token on held-out rows,
and the model FLOPs utilisation: 6 FLOPs per weight and token (Kaplan et al. 2020, arXiv:2001.08361), 4 where the weights are
frozen, over what a large matrix product reaches on the same device. On a GPU it ends with 1 below 1.5 times the peer's tokens/s.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch loads OpenMP

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM, PrinterCallback
from transformers.utils import logging as transformers_logging
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from benchmarks.wanted import Wanted, exit_status
from ftcore.data.reading import read_jsonl
from ftcore.models.base import BaseModel, resolve_base
from ftcore.models.devices import Device, choose
from ftcore.models.loading import load_model
from ftcore.spec import BaseModelSpec, ComputeSpec, MethodSpec, TrainingSpec
from ftcore.training.instruction import Instruction
from ftcore.training.phases import Run
from ftcore.training.probe import Probe

ROOT = Path(__file__).parents[1]
Rows = list[dict[str, Any]]


@dataclass
class Side:
    """One of the contestants, once."""

    wall_s: float
    cpu_s: float
    loss: float


def shape_1b(folder: Path) -> Path:
    """A model folder with random weights, in bfloat16 as such models come, and the tokenizer of the shipped one."""
    config = LlamaConfig(
        vocab_size=128_256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16, num_attention_heads=32,
        num_key_value_heads=8, tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    torch.manual_seed(1)
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(ROOT / "models" / "tiny-chat").save_pretrained(folder)
    return folder


def ours(base: BaseModel, method: MethodSpec, training: TrainingSpec, rows: dict[str, Rows], device: Device) -> Side:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        run = Run(
            rows["train"], rows["validation"], (), "instruction", base, method, training, device,
            folder / "checkpoints", folder / "output", probe=Probe(ComputeSpec(), folder / "probes"),
        )  # fmt: skip
        wall, cpu = time.perf_counter(), time.process_time()
        run.go()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        model = load_model(folder / "output" / "model").model.to(device.device)
        return Side(wall, cpu, answer_loss(model, base, training, rows, device))


def plain(base: BaseModel, method: MethodSpec, training: TrainingSpec, rows: dict[str, Rows], device: Device) -> Side:
    """What TRL's own example does: conversations as prompt and completion, everything else by default."""
    model: Any = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32)
    data = {
        split: Dataset.from_list(
            [{"prompt": row["messages"][:-1], "completion": row["messages"][-1:]} for row in rows[split]]
        )
        for split in ("train", "validation")
    }
    lora = LoraConfig(
        task_type="CAUSAL_LM", r=method.rank, lora_alpha=method.alpha, lora_dropout=method.dropout, target_modules="all-linear"
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(
            output_dir=folder, per_device_train_batch_size=training.batch_size, num_train_epochs=training.epochs,
            learning_rate=training.learning_rate, max_length=training.max_length, eval_strategy="epoch",
            save_strategy="epoch", disable_tqdm=True, report_to="none", seed=training.seed,
            use_cpu=device.device == "cpu",
        )  # fmt: skip
        trainer = SFTTrainer(
            model, args=arguments, train_dataset=data["train"], eval_dataset=data["validation"],
            processing_class=AutoTokenizer.from_pretrained(base.path), peft_config=lora if method.name == "lora" else None,
        )  # fmt: skip
        trainer.remove_callback(PrinterCallback)
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.train()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        trained = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
        return Side(wall, cpu, answer_loss(trained, base, training, rows, device))


@torch.inference_mode()
def answer_loss(model: Any, base: BaseModel, training: TrainingSpec, rows: dict[str, Rows], device: Device) -> float:
    """Cross-entropy per answer token of the test rows, in nats."""
    encoded, total, count = Instruction(rows["train"][:1], rows["test"], base, training).validation, 0.0, 0
    model.eval()
    for row in encoded:
        ids, labels = (torch.tensor([item], device=device.device) for item in (row.input_ids, row.labels))
        answers = int((labels[:, 1:] != -100).sum())
        total += float(model(input_ids=ids, labels=labels).loss) * answers
        count += answers
    return total / count


def peak_flops(device: Device) -> float:
    """Of a matrix product in the device's number format: the best of five."""
    kind, size = (
        torch.bfloat16 if device.precision == "bf16" else torch.float32,
        8192 if device.device == "cuda" else 1536,
    )
    one, other = (torch.randn(size, size, device=device.device, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        float((one @ other)[0, 0])
        best = min(best, time.perf_counter() - started)
    return 2.0 * size**3 / best


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("tiny", "1b"), default="tiny")
    parser.add_argument("--method", choices=("full", "lora"), default="full")
    parser.add_argument("--rows", type=int, default=256)
    parser.add_argument("--epochs", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--packing", action="store_true")
    options = parser.parse_args()
    transformers_logging.set_verbosity_error()
    file = ROOT / "replies" / "conversations.jsonl"
    if not file.exists():
        sys.exit("dvc pull replies.dvc models/tiny-chat.dvc")
    found = [row for row in read_jsonl(file) if row.get("messages")]
    rows = {"test": found[:64], "validation": found[64:128], "train": found[128 : 128 + options.rows]}
    device = choose(ComputeSpec())
    device.prepare()
    with tempfile.TemporaryDirectory() as temporary:
        name = shape_1b(Path(temporary) / "1b") if options.shape == "1b" else ROOT / "models" / "tiny-chat"
        base, method = resolve_base(BaseModelSpec(name=str(name))), MethodSpec(name=options.method)
        rate = 1e-3 if options.method == "full" else 3e-3
        training = TrainingSpec(
            epochs=options.epochs,
            learning_rate=rate,
            batch_size=16,
            max_length=256,
            patience=0,
            packing=options.packing,
            warmup_fraction=0,  # as TRL
        )
        job = Instruction(rows["train"], rows["validation"], base, training)
        tokens = sum(len(row.input_ids) for row in job.train) * options.epochs
        weights = sum(item.numel() for item in job.load(None, None).parameters())
        sides: dict[str, list[Side]] = {"SFTTrainer defaults": [], "ftcore": []}
        for _ in range(options.rounds):
            sides["SFTTrainer defaults"].append(plain(base, method, training, rows, device))
            sides["ftcore"].append(ours(base, method, training, rows, device))
    peak, rates = peak_flops(device), []
    for name, runs in sides.items():
        rates.append([tokens / statistics.median(getattr(run, kind) for run in runs) for kind in ("wall_s", "cpu_s")])
        used = (6 if options.method == "full" else 4) * weights * rates[-1][0] / peak
        loss = statistics.median(run.loss for run in runs)
        print(
            f"{name:20} {rates[-1][0]:9.0f} tokens/s wall {rates[-1][1]:9.0f} tokens/s CPU "
            f"held-out loss {loss:.4f} MFU {used:.1%}"
        )
    print(f"ratio {rates[1][0] / rates[0][0]:.2f} (wall) {rates[1][1] / rates[0][1]:.2f} (CPU)")
    gpu = device.device == "cuda"
    return exit_status([Wanted("times SFTTrainer's tokens/s", rates[1][0] / rates[0][0], least=1.5)] if gpu else [])


if __name__ == "__main__":
    sys.exit(main())
