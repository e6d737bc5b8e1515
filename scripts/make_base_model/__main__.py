"""`python -m scripts.make_base_model --out models/tiny-chat`: pre-trains the base model for offline use (minutes, on CPUs).

The same seed, libraries, machine and number of threads give the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections.abc import Iterable
from pathlib import Path

from .card import card
from .corpus import conversations, project_texts, stories
from .tokenizer import BOS, EOS, train_tokenizer

SEED = 20260301
CONVERSATIONS, STORIES, DOC_COPIES = 48_000, 7_000, 1
VOCABULARY = 3072
STEPS = 3000
HELD = 0.02


def texts(seed: int) -> tuple[list[str], list[str]]:
    """Training and validation texts, special tokens and all. The docs are in training only."""
    generated = [_render(turns) for turns in conversations(seed, CONVERSATIONS)]
    generated += [f"{BOS}{story}{EOS}" for story in stories(seed, STORIES)]
    rng = random.Random(seed)
    rng.shuffle(generated)
    held = int(HELD * len(generated))
    train = generated[held:] + [f"{BOS}{text}{EOS}" for text in project_texts()] * DOC_COPIES
    rng.shuffle(train)
    return train, generated[:held]


def _render(turns: list[dict[str, str]]) -> str:
    """What the chat template writes; the tokenizer that has it is not made yet."""
    ends = {"assistant": EOS}
    return BOS + "".join(f"<|{turn['role']}|>{turn['content']}{ends.get(turn['role'], '<|end|>')}" for turn in turns)


def main(argv: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("models/tiny-chat"))
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=1, help="another number sums in another order")
    options = parser.parse_args(None if argv is None else list(argv))
    import torch

    from .copying import copied
    from .pretrain import build, pack, save, train

    torch.set_num_threads(options.threads)
    torch.use_deterministic_algorithms(True)
    training, held = texts(options.seed)
    digest = hashlib.sha256("\0".join(training + held).encode()).hexdigest()
    tokenizer = train_tokenizer(training, VOCABULARY)
    blocks, held_blocks = pack(training, tokenizer), pack(held, tokenizer)
    print(f"{len(training)} texts, {sum(map(len, training)):,} characters, {blocks.numel():,} tokens", flush=True)
    model = build(tokenizer, options.seed)
    outcome = train(model, blocks, held_blocks, options.steps, options.seed, lambda: print(copied(model, tokenizer, 1)))
    save(model, tokenizer, options.out)
    shares = copied(model, tokenizer, options.seed)
    size = sum(map(len, training))
    (options.out / "README.md").write_text(
        card(outcome, len(training), size, blocks.numel(), digest, options.threads, shares),
        encoding="utf-8",
        newline="\n",
    )
    print(f"validation perplexity {outcome.perplexity:.2f} after {outcome.minutes:.1f} minutes: {options.out}")


if __name__ == "__main__":
    main()
