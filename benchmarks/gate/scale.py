"""How often each simulation is repeated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    decisions: int
    """Per true difference, where the targets are about 10,000 decisions."""
    some: int
    """Per line, elsewhere."""
    slices: int
    """Per line, of slices."""
    runs: int
    """Series of 50 retrains."""
    texts: int
    """Decisions on generated text, each with its bootstrap."""


FULL = Scale(decisions=10_000, some=2_000, slices=10_000, runs=1_000, texts=250)
SMOKE = Scale(decisions=200, some=50, slices=50, runs=10, texts=4)
