"""Rows that go through a model batch by batch, and who runs the batches: by itself nobody remembers what they gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
"""What a batch gives, by name: the first axis is that of its rows."""


@dataclass(frozen=True)
class Work:
    """One pass of a model over all rows."""

    what: str
    """What it gives, for people: `answers`."""
    tokens: Sequence[Sequence[Sequence[int]]]
    """[columns][rows] token ids: all that a row's result depends on, besides the model, `settings` and the rows of its batch."""
    batches: Sequence[np.ndarray]
    """[rows of the batch] positions, in the order in which they are to be run."""
    run: Callable[[np.ndarray], Arrays]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Further settings that change what it gives, as plain JSON."""


Runner = Callable[[Work], Iterator[tuple[np.ndarray, Arrays]]]
"""Gives the rows of each batch with its arrays, in the order of the batches."""


def run_all(work: Work) -> Iterator[tuple[np.ndarray, Arrays]]:
    """Every batch, one after the other."""
    for rows in work.batches:
        yield rows, work.run(rows)
