"""Pre-training: a small Llama from random weights on packed blocks of text, on the CPU, the same weights every time."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .tokenizer import CONTEXT

BLOCK = 384
BATCH = 10


@dataclass(frozen=True)
class Outcome:
    """What the card says about the training."""

    parameters: int
    steps: int
    tokens: int
    minutes: float
    cpu_minutes: float
    loss: float
    validation_loss: float

    @property
    def perplexity(self) -> float:
        return math.exp(self.validation_loss)


def build(tokenizer: Any, seed: int) -> Any:
    """Llama with tied embeddings, 4 layers of width 256."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=256, intermediate_size=704, num_hidden_layers=4,
            num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=CONTEXT, tie_word_embeddings=True,
            bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        )
    )  # fmt: skip


def pack(texts: Sequence[str], tokenizer: Any) -> torch.Tensor:
    """Token ids of all texts one after the other, cut into blocks: int64 [blocks, BLOCK]. The rest is dropped.

    The texts hold their own special tokens.
    """
    ids: list[int] = []
    for start in range(0, len(texts), 1024):
        for row in tokenizer(list(texts[start : start + 1024]), add_special_tokens=False, verbose=False)["input_ids"]:
            ids += row
    return torch.tensor(ids[: len(ids) // BLOCK * BLOCK]).view(-1, BLOCK)


def train(model: Any, blocks: torch.Tensor, held: torch.Tensor, steps: int, seed: int, rate: float = 3e-3) -> Outcome:
    """AdamW with warm-up and cosine decay to a tenth, forward passes in bf16; prints a line every 50 steps."""
    optimizer = torch.optim.AdamW(_groups(model), lr=rate, betas=(0.9, 0.95), fused=True)
    warm = max(1, steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda s: min((s + 1) / warm, 0.1 + 0.45 * (1 + math.cos(math.pi * max(0, s - warm) / max(1, steps - warm)))),
    )
    order = torch.Generator().manual_seed(seed)
    begun, worked = time.monotonic(), time.process_time()
    done, recent = 0, 0.0
    model.train()
    while done < steps:
        for rows in torch.randperm(len(blocks), generator=order).split(BATCH):
            loss = _loss(model, blocks[rows])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            done += 1
            recent = loss.item() if done == 1 else 0.98 * recent + 0.02 * loss.item()
            if done % 50 == 0:
                print(f"step {done}/{steps}: loss {recent:.3f}, {(time.monotonic() - begun) / 60:.1f} min", flush=True)
            if done == steps:
                break
    minutes, cpu_minutes = (time.monotonic() - begun) / 60, (time.process_time() - worked) / 60
    count = sum(parameter.numel() for parameter in model.parameters())
    return Outcome(count, steps, steps * BATCH * BLOCK, minutes, cpu_minutes, recent, evaluate(model, held))


def evaluate(model: Any, blocks: torch.Tensor) -> float:
    """Mean cross-entropy per token, in nats."""
    model.eval()
    with torch.inference_mode():
        losses = [(_loss(model, rows).item(), len(rows)) for rows in blocks.split(BATCH)]
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


def save(model: Any, tokenizer: Any, folder: Path) -> None:
    """bf16 safetensors, configuration and tokenizer."""
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # the weights come with 0600


def _loss(model: Any, rows: torch.Tensor) -> torch.Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss: torch.Tensor = model(input_ids=rows, labels=rows).loss
    return loss


def _groups(model: Any) -> list[dict[str, Any]]:
    matrices = [p for p in model.parameters() if p.ndim >= 2]
    return [
        {"params": matrices, "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
