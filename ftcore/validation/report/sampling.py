"""Reports look at no more rows than they need."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

_Item = TypeVar("_Item")


def sample(items: Sequence[_Item], most: int) -> list[_Item]:
    """At most so many, drawn with a fixed seed: the same data give the same report."""
    return list(items) if len(items) <= most else random.Random(0).sample(list(items), most)
