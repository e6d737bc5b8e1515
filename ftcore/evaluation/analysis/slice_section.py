"""Slices found automatically, on errors and on what was lost against the champion, with examples and what they are made of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ftcore.evaluation.analysis.clusters import Topics
from ftcore.evaluation.analysis.conditions import Feature, features_of, rows_meeting
from ftcore.evaluation.analysis.holdout_rows import HoldoutRows
from ftcore.evaluation.analysis.slices import FALSE_RATE, MIN_EXCESS, MIN_ROWS, Slice, find_slices
from ftcore.evaluation.rows import Bools, Column, Floats

NUM_EXAMPLES = 4


def slice_features(rows: HoldoutRows, topics: Topics | None) -> list[Feature]:
    """Metadata, topic, words of the text (characters where hardly any text has spaces) and, of generated text, of the answer."""
    columns = dict(rows.columns)
    if topics is not None:
        columns["topic"] = Column(topics.names, topics.codes)
    numbers: dict[str, Sequence[float]] = {}
    words = [float(len(text.split())) for text in rows.texts]
    if words and np.median(words) >= 2:
        numbers["words"] = words
    else:
        numbers["characters"] = [float(len(text)) for text in rows.texts]
    if rows.generates:
        numbers["words of the reference"] = [float(len(text.split())) for text in rows.targets]
    return features_of(columns, numbers, MIN_ROWS)


def found_slices(rows: HoldoutRows, topics: Topics | None) -> tuple[dict[str, Any], list[tuple[Slice, int]]]:
    """The section, and the slices on errors with the number of rows that fail in each."""
    features = slice_features(rows, topics)
    losses = rows.losses("candidate")
    worse = find_slices(features, losses, rows.groups)
    lost: list[Slice] | None = None
    if "champion" in rows.models:
        change = losses - rows.losses("champion")
        lost = find_slices(features, change, rows.groups, against_rest=False)
    section = {
        "min_rows": MIN_ROWS, "min_excess": MIN_EXCESS, "false_rate": FALSE_RATE, "num_rows": rows.num_rows,
        "columns": sorted({feature.column for feature in features}),
        "worse": [_shown(rows, features, item, losses) for item in worse],
        "lost": None if lost is None else [_shown(rows, features, item, losses - rows.losses("champion")) for item in lost],
    }  # fmt: skip
    counts = [(item, int((losses[rows_meeting(item.conditions, features, rows.num_rows)] > 0).sum())) for item in worse]
    return section, counts


def _shown(rows: HoldoutRows, features: Sequence[Feature], item: Slice, loss: Floats) -> dict[str, Any]:
    inside: Bools = rows_meeting(item.conditions, features, rows.num_rows)
    positions = np.flatnonzero(inside & (loss > 0))
    worst = positions[np.argsort(-loss[positions], kind="stable")]
    labels = [] if rows.generates else Counter(rows.targets[row] for row in np.flatnonzero(inside)).most_common(2)
    return {
        **item.to_dict(), "loss_all": float(loss[inside].mean()), "num_failing": len(positions),
        "labels": [{"label": label, "share": count / int(inside.sum())} for label, count in labels],
        "examples": rows.examples(worst[:NUM_EXAMPLES]),
    }  # fmt: skip
