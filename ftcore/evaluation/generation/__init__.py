"""Generated answers against references: statistics per row, metrics with intervals, paired differences, baselines."""
