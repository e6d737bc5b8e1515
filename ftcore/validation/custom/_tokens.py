"""Tokenizers of a base model, loaded once per process and folder; no weights, no torch."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ftcore.errors import BaseModelError

_BATCH = 1024


@functools.lru_cache(maxsize=2)
def load_tokenizer(folder: Path) -> Any:
    """The tokenizer with its chat template.

    Raises:
        BaseModelError: The folder holds none that can be read.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError) as error:
        message = f"Cannot read the tokenizer in {folder}: {' '.join(str(error).split())[:200]}."
        raise BaseModelError(message, hint="use a base model that ships tokenizer.json") from error


def encode(tokenizer: Any, texts: Sequence[str], *, add_special_tokens: bool) -> list[list[int]]:
    """Token ids per text, nothing cut off."""
    ids: list[list[int]] = []
    for start in range(0, len(texts), _BATCH):
        batch = list(texts[start : start + _BATCH])
        ids += tokenizer(batch, add_special_tokens=add_special_tokens, truncation=False, verbose=False)["input_ids"]
    return ids
