"""Has a model lost what its base model was good at? Loss per byte on general text, paragraph by paragraph.

Per byte and not per token, so that models with other tokenizers compare (bits per byte, as The Pile has it: Gao et al. 2020).
Catastrophic forgetting: Kirkpatrick et al. (2017); for fine-tuned language models Luo et al. (2023).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from ftcore.errors import UsageError
from ftcore.evaluation.probes.measures import Measure, ratio
from ftcore.evaluation.rows import Floats

_SHIPPED = Path(__file__).with_name("general.txt")
_MIN_PARAGRAPHS = 10
_MIN_BYTES = 40  # a heading is no paragraph


def read_paragraphs(path: Path | None) -> list[str]:
    """Paragraphs of a text file, None: the one that ships.

    Raises:
        UsageError: It is missing, no UTF-8 or has too few paragraphs.
    """
    file = path or _SHIPPED
    try:
        text = file.read_text(encoding="utf-8")
    except OSError as error:
        hint = f"ls {file.parent}"
        raise UsageError(f"evaluation.probes.general_text: cannot read {file} ({error.strerror}).", hint=hint) from None
    except UnicodeDecodeError:
        raise UsageError(f"evaluation.probes.general_text: {file} is not UTF-8.") from None
    parts = [part.strip() for part in text.split("\n\n")]
    found = [part for part in parts if len(part.encode()) >= _MIN_BYTES]
    if len(found) < _MIN_PARAGRAPHS:
        seen = f"{file} has {len(found)} paragraphs of {_MIN_BYTES} bytes or more"
        raise UsageError(
            f"evaluation.probes.general_text: {seen}; wanted {_MIN_PARAGRAPHS} or more, between empty lines."
        )
    return found


def bits_per_byte(nll: Sequence[float] | Floats, num_bytes: Sequence[int] | np.ndarray) -> Floats:
    """[rows, 2] counts of bits and bytes."""
    return ratio(np.asarray(nll, dtype=float) / math.log(2), np.asarray(num_bytes, dtype=float))


def forgetting(losses: Mapping[str, Floats]) -> list[Measure]:
    """The one measure.

    Args:
        losses: By role: `bits_per_byte` of the paragraphs.
    """
    return [Measure("forgetting", "bits_per_byte", "loss on general text, in bits per byte", losses, "loss")]
