"""The holdout of a task that generates text: row statistics of every model on the same rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ftcore.errors import DataRefused, num_of
from ftcore.evaluation.generation.row_statistics import RowStatistics, row_statistics
from ftcore.evaluation.rows import Column, Floats, Ints, dense_groups, row_metric_faults


@dataclass(frozen=True)
class Reply:
    """One model's answers on the holdout, in the order of its rows."""

    texts: Sequence[str]
    nll: Floats | None = None
    """[rows] sum of -ln p over the tokens of the reference; None: the model gives no likelihoods."""
    num_tokens: Floats | None = None
    """[rows] tokens of the reference, the one that ends it included."""
    row_metrics: Mapping[str, Floats] = field(default_factory=dict)
    """By name: [rows] scores from 0 to 1 of a format check or of a user's own metric."""


@dataclass(frozen=True)
class TextHoldout:
    """Frozen rows with one answer per row and model."""

    predictions: Mapping[str, Sequence[str]]
    """By role (`candidate`, `champion`, a baseline): one answer per row."""
    statistics: Mapping[str, RowStatistics]
    """By role and metric."""
    num_rows: int
    groups: Ints | None = None
    """[rows] dense codes of who the row comes from; None: every row stands alone."""
    slices: Mapping[str, Column] | None = None
    """By column name."""

    def rows(self, positions: Ints) -> TextHoldout:
        """Some of the rows; groups are numbered anew, slices left out."""
        groups = None if self.groups is None else np.unique(self.groups[positions], return_inverse=True)[1]
        return dataclasses.replace(
            self,
            predictions={role: [texts[row] for row in positions] for role, texts in self.predictions.items()},
            statistics={
                role: {name: values[positions] for name, values in found.items()}
                for role, found in self.statistics.items()
            },
            num_rows=len(positions),
            groups=groups,
            slices=None,
        )


def text_holdout(
    targets: Sequence[str],
    replies: Mapping[str, Reply],
    groups: Column | None = None,
    slices: Mapping[str, Column] | None = None,
) -> TextHoldout:
    """Statistics of every model's answers.

    Raises:
        DataRefused: There are no rows, answers and rows differ in number, or a likelihood is no number above or equal to 0, or
            a row metric none from 0 to 1.
    """
    num_rows = len(targets)
    faults = [] if num_rows else ["no rows"]
    for role, reply in replies.items():
        if len(reply.texts) != num_rows:
            faults.append(f"{role}: {len(reply.texts)} rows, wanted {num_rows}")
        faults += _likelihood_faults(role, reply, num_rows)
        faults += row_metric_faults(role, reply.row_metrics, num_rows)
    if faults:
        raise DataRefused("The answers cannot be compared:", details=faults)
    statistics = {
        role: row_statistics(targets, reply.texts, reply.nll, reply.num_tokens, reply.row_metrics)
        for role, reply in replies.items()
    }
    return TextHoldout(
        {role: reply.texts for role, reply in replies.items()},
        statistics,
        num_rows,
        None if groups is None else dense_groups(groups),
        slices,
    )


def _likelihood_faults(role: str, reply: Reply, num_rows: int) -> list[str]:
    if (reply.nll is None) != (reply.num_tokens is None):
        return [f"{role}: likelihoods without numbers of tokens, or the other way round"]
    if reply.nll is None or reply.num_tokens is None:
        return []
    if len(reply.nll) != num_rows or len(reply.num_tokens) != num_rows:
        return [f"{role}: {len(reply.nll)} likelihoods, wanted {num_rows}"]
    bad = int((~np.isfinite(reply.nll) | (reply.nll < 0)).sum())
    empty = int((~np.isfinite(reply.num_tokens) | (reply.num_tokens < 1)).sum())
    faults = [f"{role}: {num_of(bad, 'row')} whose likelihood is no number"] if bad else []
    return faults + ([f"{role}: {empty} rows without tokens in the reference"] if empty else [])
