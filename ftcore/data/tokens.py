"""Token counts under a base model's tokenizer, without loading the model or torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from ftcore.errors import BaseModelError

_BATCH = 1024


def token_stats(texts: Sequence[str], model_folder: Path, max_length: int) -> dict[str, float]:
    """`median`, `p95`, `max` tokens per text (special tokens included) and `truncated_fraction` at `max_length`.

    Percentiles are nearest-rank values that occur. No texts give no numbers (an empty dict).

    Raises:
        BaseModelError: The folder has no readable tokenizer.json.
    """
    path = model_folder / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises plain Exception for a malformed file
        message = f"Cannot read the tokenizer {path}: {' '.join(str(error).split())[:200]}; wanted a fast tokenizer."
        raise BaseModelError(message, hint="use a base model that ships tokenizer.json") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    lengths = sorted(
        len(encoding.ids)
        for start in range(0, len(texts), _BATCH)
        for encoding in tokenizer.encode_batch(list(texts[start : start + _BATCH]))
    )
    if not lengths:
        return {}
    rank = {
        name: lengths[min(len(lengths) - 1, int(len(lengths) * share))]
        for name, share in (("median", 0.5), ("p95", 0.95))
    }
    truncated = sum(length > max_length for length in lengths) / len(lengths)
    return {
        **{name: float(value) for name, value in rank.items()},
        "max": float(lengths[-1]),
        "truncated_fraction": truncated,
    }
