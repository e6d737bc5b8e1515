"""The model card, written beside the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .pretrain import Outcome

TEXT = """# tiny-chat: a small language model for offline use

A Llama of {parameters:,} parameters (4 layers, width 256, 4 heads, tied embeddings, context 512 tokens, bf16) with its own
byte-level BPE tokenizer of 3,072 entries and a chat template for system, user and assistant turns. It is a base to fine-tune,
small enough for two CPU cores, so that every path for language models can be tried and tested without a network or a GPU.

## Data

{texts:,} texts, {characters:,} characters, {tokens:,} tokens, in English:

- conversations of eleven made-up houses (library, railway, dentist, hotel, …), partly about names and places that exist
  nowhere, and exercises (repeating lists, looking up rows of small tables, finding, ordering, tidying), from the phrase banks
  and rules in `scripts/make_base_model/`;
- short stories from the same place;
- this project's docs, licence text and docstrings as of one commit (named in the script).

Nothing of it was written by, or is about, a real person. The example data's shop, its phrase banks and its rows are not in it:
{leakage}
SHA-256 of all texts: `{digest}`.

## Training

`python -m scripts.make_base_model --out models/tiny-chat`: {steps:,} steps of 2,048 tokens in blocks of 256 ({seen:,}
tokens). Muon (peak rate 0.02) for the matrices inside, AdamW (5e-3) for embeddings and norms, seed in the script,
{threads} thread. {cpu_minutes:.0f} minutes of processor time, {minutes:.0f} by the clock on two busy cores. Same libraries,
machine and number of threads: same weights.

Perplexity per token: {perplexity:.2f} on the 2 % of the generated texts that were held out.

Copying, 100 questions of each kind, greedy answers right to the last character (`scripts/make_base_model/copying.py`). The
words are made up from consonants that no made-up word of the texts has; the numbers have five digits:

| question | right |
|---|---|
{copied}

## Limits

It knows the little English of its phrase banks and which kind of answer goes with which kind of message; how far it copies
names and numbers, the table shows. It knows nothing about the world, answers fluently and wrongly, and was never made safe.
It saw no text longer than 256 tokens. Use it to try out and test fine-tuning; a figure measured on it says nothing about
other models.

## Licence

Apache-2.0, like the rest of this repository.
"""
LEAKAGE = """`ftcore.data.leakage` (exact, normalised, near_duplicate, contained, ngram13) finds 0 of the 36,323 messages and
replies of the example data in it."""


def card(
    outcome: Outcome, texts: int, characters: int, tokens: int, digest: str, threads: int, copied: dict[str, float]
) -> str:
    shares = "\n".join(f"| {question} | {share:.0%} |" for question, share in copied.items())
    return TEXT.format(
        parameters=outcome.parameters, steps=outcome.steps, seen=outcome.tokens, minutes=outcome.minutes,
        cpu_minutes=outcome.cpu_minutes, perplexity=outcome.perplexity, texts=texts, characters=characters, tokens=tokens,
        digest=digest, threads=threads, leakage=LEAKAGE, copied=shares,
    )  # fmt: skip
