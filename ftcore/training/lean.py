"""transformers' Trainer, without the import of `datasets` that comes with it.

That brings pandas and pyarrow along and takes a sixth of the time of `import torch, transformers, peft`, in every process of a
training. Trainer wants it only to recognise tables of that library: to drop columns that a model does not take, which is switched
off here, and to find the lengths of rows, which ftcore does itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import utils


@contextmanager
def _without_datasets() -> Iterator[None]:
    known = utils.is_datasets_available
    utils.is_datasets_available = lambda: False
    try:
        yield
    finally:
        utils.is_datasets_available = known


with _without_datasets():
    from transformers import Trainer

__all__ = ["Trainer"]
