"""How long a model takes for a row, as measured while it was scored."""

from __future__ import annotations

import numpy as np


def latency(seconds: np.ndarray) -> dict[str, float]:
    """Median and 95th percentile over rows, in milliseconds.

    Args:
        seconds: [rows] the time of the row's batch over the rows in it: less than a request that comes alone takes.
    """
    p50, p95 = (1000 * float(value) for value in np.percentile(seconds, (50, 95)))
    return {"p50_ms": p50, "p95_ms": p95}
