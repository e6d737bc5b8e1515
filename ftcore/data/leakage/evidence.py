"""A leak as an aligned pair that a person can read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rapidfuzz.distance import Levenshtein

from ftcore.data.cleaning import normalise_for_match


@dataclass(frozen=True)
class Run:
    """Consecutive words of an alignment: on both sides, or on one of them."""

    kind: str
    """same, train (only there) or test."""
    words: tuple[str, ...]


def align(train_text: str, test_text: str) -> list[Run]:
    """Word-level alignment (Levenshtein), compared as the rules compare, shown as written in the test row."""
    train, test = train_text.split(), test_text.split()
    opcodes = Levenshtein.opcodes(*([normalise_for_match(word) for word in side] for side in (train, test)))
    runs = []
    for step in opcodes:
        train_words, test_words = train[step.src_start : step.src_end], test[step.dest_start : step.dest_end]
        if step.tag == "equal":
            runs.append(Run("same", tuple(test_words)))
        else:
            runs += [Run(kind, tuple(words)) for kind, words in (("train", train_words), ("test", test_words)) if words]
    return runs


def as_line(runs: Sequence[Run], max_words: int = 60, context: int = 4) -> str:
    """`[-only in train-] {+only in test+}`; long runs are shortened in their middle, unprintable characters replaced."""
    parts = []
    used = 0
    for run in runs:
        if used >= max_words:
            parts.append("…")
            break
        words = list(run.words)
        if len(words) > 3 * context:
            words = [*words[:context], "…", *words[-context:]]
        used += len(words)
        text = " ".join(words)
        parts.append({"same": text, "train": f"[-{text}-]", "test": f"{{+{text}+}}"}[run.kind])
    return "".join(char if char.isprintable() else "�" for char in " ".join(parts))
