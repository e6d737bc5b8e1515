"""Names of files that `evaluate` writes and `judge` or the pipeline reads: said once."""

HOLDOUT = "holdout.json"
"""Which rows it was: a sketch of their digests."""
PINNED = "pinned.jsonl"
"""Answers to the rows that must pass."""
SIZES = "sizes.json"
"""Of the models' files, in millions of bytes, by role."""
