"""What each row adds to a metric, as numbers that can be summed over any rows: the ground of intervals and tests.

A metric is a function of summed row statistics, so a resample of rows (or groups) is a weighted sum, and the metric of a
million resamples needs each answer to be read only once.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np
from rapidfuzz.distance import LCSseq

from ftcore.evaluation.rows import Floats

MAX_NGRAM = 4
CHAR_ORDER = 6
_WORD = re.compile(r"[^\W_]+")

RowStatistics = Mapping[str, Floats]
"""By metric: [rows, statistics of that metric]."""


def row_statistics(
    targets: Sequence[str], predictions: Sequence[str], nll: Floats | None = None, num_tokens: Floats | None = None
) -> dict[str, Floats]:
    """Statistics of all metrics of one model.

    Args:
        targets: Reference answers.
        predictions: Generated answers, one per target.
        nll: [rows] sum of -ln p over the reference's tokens; None: the model gives no likelihoods.
        num_tokens: [rows] tokens of the reference; goes with `nll`.
    """
    pairs = list(zip(targets, predictions, strict=True))
    found = {
        "chrf": _array([chrf_statistics(target, prediction) for target, prediction in pairs], 3 * CHAR_ORDER),
        "bleu": _array([bleu_statistics(target, prediction) for target, prediction in pairs], 2 + 2 * MAX_NGRAM),
        "rouge_l": _array([(rouge_l(target, prediction), 1.0) for target, prediction in pairs], 2),
        "exact_match": _array([(float(normalised(target) == normalised(prediction)), 1.0) for target, prediction in pairs], 2),
    }  # fmt: skip
    if nll is not None and num_tokens is not None:
        found["inverse_perplexity"] = np.stack([nll, num_tokens], axis=1).astype(float)
    return found


def _array(rows: Sequence[Sequence[float]], width: int) -> Floats:
    return np.array(rows, dtype=float).reshape(len(rows), width)


def chrf_statistics(target: str, prediction: str) -> list[float]:
    """For n = 1 to 6: character n-grams of the prediction, of the target, and in both (clipped); white space left out.

    Popović (2015), "chrF: character n-gram F-score for automatic MT evaluation", as sacrebleu counts them: n-grams of a
    prediction count only where the target has n-grams of that length.
    """
    from sacrebleu.metrics.helpers import extract_all_char_ngrams

    found: list[float] = []
    of_target, of_prediction = (extract_all_char_ngrams(text, CHAR_ORDER) for text in (target, prediction))
    for wanted, seen in zip(of_target, of_prediction, strict=True):
        found += [seen.total() if wanted else 0, wanted.total(), (wanted & seen).total()]
    return found


def bleu_statistics(target: str, prediction: str) -> list[float]:
    """Words of prediction and target, then matches for n = 1 to 4, then n-grams of the prediction for n = 1 to 4.

    Papineni et al. (2002), words as sacrebleu's tokenizer 13a makes them (Post 2018, "A Call for Clarity in Reporting BLEU").
    """
    score = _bleu().sentence_score(prediction, [target])
    return [score.sys_len, score.ref_len, *score.counts, *score.totals]


@cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # as single rows want it; the counts are the same


def rouge_l(target: str, prediction: str) -> float:
    """ROUGE-L F1, 0 to 1: 2 x longest common subsequence of words / words of both (Lin 2004, "ROUGE", with beta = 1).

    The same number as the package rouge_score gives without stemming, but letters of all scripts make words, not only a-z. Text
    that is not written with spaces between words is one long word: prefer chrF there.
    """
    wanted, seen = words(target), words(prediction)
    total = len(wanted) + len(seen)
    return 2 * LCSseq.similarity(wanted, seen) / total if total else 0.0


def words(text: str) -> list[str]:
    """Lower-case words: runs of letters and digits."""
    return _WORD.findall(text.lower())


def normalised(text: str) -> str:
    """Text whose writing does not matter to exact match: NFKC, white space as single spaces, none outside."""
    return " ".join(unicodedata.normalize("NFKC", text).split())
