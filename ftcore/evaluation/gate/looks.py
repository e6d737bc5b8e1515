"""Looks at a holdout. Each decision on the same rows tells something about them, and what is chosen by it fits them a little.

Every candidate that is scored is counted in the ledger, whatever is decided. Three things keep a holdout honest:

- the step of the Ladder (Blum & Hardt 2015, "The Ladder: a reliable leaderboard for machine learning competitions"): a gain below
  `min_gain` never changes production;
- spending: the k-th decision has one-sided bounds at 1 - alpha / k. Twenty decisions together then err with probability 3.6 alpha
  at most (the harmonic sum) in place of 20 alpha, and the first, on fresh rows, is at full strength. The sum has no end of
  its own: the budget is its end;
- a budget: after `max_decisions` the verdict is HOLD until enough of the rows are fresh.

Rows come and go between data versions, so looks are told by rows, from a sketch of each holdout: the 256 smallest of the rows'
hashes (bottom-k sketch, Cohen & Kaplan 2007). The share of today's rows that an earlier holdout had is estimated from it with a
standard error of at most 3 points, and an earlier decision counts as that share of a look: fresh rows wear a look off little by
little, and nobody gains by changing a few of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SKETCH_ROWS = 256
_HEX_CHARS = 12


def alpha_at(look: int, alpha: float) -> float:
    """Error rate of each bound at the `look`-th decision (from 1)."""
    return alpha / max(1, look)


def sketch_of(row_digests: Iterable[str]) -> list[str]:
    """The smallest digests, cut short: enough to tell how much two holdouts share."""
    return sorted({digest[:_HEX_CHARS] for digest in row_digests})[:SKETCH_ROWS]


def shared_share(rows: Sequence[str], earlier: Sequence[str]) -> float:
    """Estimated share of the rows behind sketch `rows` that were in the holdout behind sketch `earlier`.

    Where both sketches are cut, rows are only comparable up to the smaller of their largest digests. 1 for an empty sketch.
    """
    limits = [sketch[-1] for sketch in (rows, earlier) if len(sketch) == SKETCH_ROWS]
    seen = [row for row in rows if not limits or row <= min(limits)]
    return len(set(seen) & set(earlier)) / len(seen) if seen else 1.0


def look_at(shares: Iterable[float]) -> int:
    """Which look it is (from 1), after decisions that saw these shares of its rows; to the nearest whole one."""
    return 1 + round(sum(shares))


def fresh_share_needed(look: int, max_decisions: int) -> float:
    """Share of the rows to replace so that the next decision is within the budget; 0: it is."""
    return max(0.0, 1 - (max_decisions - 1) / (look - 1)) if look > 1 else 0.0
