"""Pre-training: a small Llama from random weights on packed blocks of text, on the CPU, the same weights every time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from .tokenizer import CONTEXT

BLOCK = 256
BATCH = 8
RATE, EMBEDDING_RATE = 0.02, 5e-3
"""Peak rates of Muon (matrices) and AdamW (embeddings, norms)."""


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


def train(
    model: Any, blocks: torch.Tensor, held: torch.Tensor, steps: int, seed: int, look: Callable[[], None] = lambda: None
) -> Outcome:
    """Muon and AdamW with warm-up and a linear fall to a twentieth, forward passes in bf16.

    Prints a line every 50 steps and calls `look` every 250.
    """
    optimizers = _optimizers(model)
    schedules = [torch.optim.lr_scheduler.LambdaLR(optimizer, _rate(steps)) for optimizer in optimizers]
    order = torch.Generator().manual_seed(seed)
    begun, worked = time.monotonic(), time.process_time()
    recent, seen = 0.0, 0
    model.train()
    for done, rows in zip(range(1, steps + 1), _batches(len(blocks), steps, order), strict=True):
        texts = blocks[rows]
        loss = _loss(model, texts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for stepper in (*optimizers, *schedules):
            stepper.step()
        model.zero_grad()
        seen += texts.numel()
        recent = loss.item() if done == 1 else 0.98 * recent + 0.02 * loss.item()
        if done % 50 == 0:
            print(f"step {done}/{steps}: loss {recent:.3f}, {(time.monotonic() - begun) / 60:.1f} min", flush=True)
        if done % 250 == 0:
            look()
            model.train()
    minutes, cpu_minutes = (time.monotonic() - begun) / 60, (time.process_time() - worked) / 60
    count = sum(parameter.numel() for parameter in model.parameters())
    return Outcome(count, steps, seen, minutes, cpu_minutes, recent, evaluate(model, held))


def _batches(num_blocks: int, steps: int, order: torch.Generator) -> Iterator[torch.Tensor]:
    """`steps` times the numbers of BATCH blocks (fewer where there are not so many), each pass in a new order."""
    ids = torch.empty(0, dtype=torch.int64)
    for _ in range(steps):
        if len(ids) < BATCH:
            ids = torch.cat([ids, torch.randperm(num_blocks, generator=order)])
        yield ids[:BATCH]
        ids = ids[BATCH:]


def _rate(steps: int) -> Callable[[int], float]:
    warm = max(1, steps // 50)
    return lambda step: min((step + 1) / warm, 0.05 + 0.95 * (1 - step / steps))


def _optimizers(model: Any) -> list[torch.optim.Optimizer]:
    """Muon for the matrices inside (Jordan et al. 2024): it needs a fraction of AdamW's steps here. AdamW for the rest."""
    inside = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    return [
        torch.optim.Muon(inside, lr=RATE, weight_decay=0.01),
        torch.optim.AdamW(rest, lr=EMBEDDING_RATE, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


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
