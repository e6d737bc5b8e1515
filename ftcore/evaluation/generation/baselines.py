"""What a model that generates text must beat: the base model as it is, the base model with examples, and copied replies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from ftcore.models.prompts import Prompt

Row = Mapping[str, Any]
_BLOCK = 512  # rows compared at a time: bounds memory


def prompt_of(row: Row, task: str) -> Prompt:
    """What a model is given for a canonical row: the turns before the answer, or the text (task seq2seq)."""
    prompt: Prompt = row["text"] if task == "seq2seq" else row["messages"][:-1]
    return prompt


def sample_examples(train: Sequence[Row], count: int, seed: int) -> list[Row]:
    """At most `count` rows drawn without replacement, in the order of the training split; the same for every question."""
    chosen = np.random.default_rng(seed).choice(len(train), min(count, len(train)), replace=False)
    return [train[position] for position in sorted(chosen.tolist())]


def few_shot_prompt(row: Row, examples: Sequence[Row], task: str) -> Prompt:
    """Examples before the question: as earlier turns of the conversation, or as text and answer one below the other.

    The row's own system turn comes first; those of the examples are left out.
    """
    if task == "seq2seq":
        shown = [f"{example['text']}\n{example['completion']}" for example in examples]
        return "\n\n".join([*shown, row["text"]])
    turns = list(row["messages"][:-1])
    system = [turn for turn in turns if turn["role"] == "system"]
    shown_turns = [turn for example in examples for turn in example["messages"] if turn["role"] != "system"]
    return [*system, *shown_turns, *(turn for turn in turns if turn["role"] != "system")]


def similar_replies(train: Sequence[Row], rows: Sequence[Row]) -> list[str]:
    """For each row the answer of the training row with the nearest text: cosine of TF-IDF weights of words and word pairs.

    The first of equals; where no word is known, that is the first training row.
    """
    vectorizer = TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    try:
        known = vectorizer.fit_transform([row["text"] for row in train])
    except ValueError:  # no words at all
        return [str(train[0]["completion"])] * len(rows)
    nearest: list[int] = []
    for start in range(0, len(rows), _BLOCK):
        asked = vectorizer.transform([row["text"] for row in rows[start : start + _BLOCK]])
        nearest += np.asarray((asked @ known.T).toarray()).argmax(axis=1).tolist()
    return [str(train[position]["completion"]) for position in nearest]
