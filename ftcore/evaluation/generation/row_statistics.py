"""What each row adds to a metric, as numbers that can be summed over any rows: the ground of intervals and tests.

A metric is a function of summed row statistics, so a resample of rows (or groups) is a weighted sum, and the metric of a
million resamples needs each answer to be read only once.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from string import punctuation
from typing import Any

import numpy as np
from rapidfuzz.distance import LCSseq

from ftcore.evaluation.generation.ngrams import codes_of, letters, shared_ngrams
from ftcore.evaluation.rows import Floats

MAX_NGRAM = 4
CHAR_ORDER = 6
_WORD = re.compile(r"[^\W_]+")
_ARTICLE = re.compile(r"\b(a|an|the)\b")

RowStatistics = Mapping[str, Floats]
"""By metric: [rows, statistics of that metric]."""


def row_statistics(
    targets: Sequence[str],
    predictions: Sequence[str],
    nll: Floats | None = None,
    num_tokens: Floats | None = None,
    own: Mapping[str, Floats] | None = None,
) -> dict[str, Floats]:
    """Statistics of all metrics of one model.

    Args:
        targets: Reference answers.
        predictions: Generated answers, one per target.
        nll: [rows] sum of -ln p over the reference's tokens; None: the model gives no likelihoods.
        num_tokens: [rows] tokens of the reference; goes with `nll`.
        own: By metric: [rows] scores from 0 to 1 that were made elsewhere, of which the metric is the mean.
    """
    pairs = list(zip(targets, predictions, strict=True))
    found = {"chrf": chrf_statistics(targets, predictions), "bleu": bleu_statistics(targets, predictions)}
    wanted, seen = ([words(text) for text in texts] for texts in (targets, predictions))
    for n, scores in enumerate(rouge_n(wanted, seen, 2).T, start=1):
        found[f"rouge_{n}"] = _means(scores)
    found["rouge_l"] = _means([rouge_l(*pair) for pair in zip(wanted, seen, strict=True)])
    found["exact_match"] = _means([float(normalised(target) == normalised(prediction)) for target, prediction in pairs])
    found["token_f1"] = _means([token_f1(target, prediction) for target, prediction in pairs])
    if nll is not None and num_tokens is not None:
        found["inverse_perplexity"] = np.stack([nll, num_tokens], axis=1).astype(float)
    return found | {name: _means(scores) for name, scores in (own or {}).items()}


def _means(scores: Sequence[float] | Floats) -> Floats:
    """[rows, 2]: score and 1."""
    return np.stack([np.asarray(scores, dtype=float), np.ones(len(scores))], axis=1)


def chrf_statistics(targets: Sequence[str], predictions: Sequence[str]) -> Floats:
    """[rows, 18]: for n = 1 to 6 character n-grams of the prediction, of the target, and in both (clipped); white space left out.

    Popović (2015), "chrF: character n-gram F-score for automatic MT evaluation", as sacrebleu counts them: n-grams of a
    prediction count only where the target has n-grams of that length.
    """
    counts = shared_ngrams([letters(text) for text in targets], [letters(text) for text in predictions], CHAR_ORDER)
    counts[..., 0] *= counts[..., 1] > 0
    return counts.reshape(len(counts), 3 * CHAR_ORDER).astype(float)


def bleu_statistics(targets: Sequence[str], predictions: Sequence[str]) -> Floats:
    """[rows, 10]: words of prediction and target, then matches for n = 1 to 4, then n-grams of the prediction for n = 1 to 4.

    Papineni et al. (2002), words as sacrebleu's tokenizer 13a makes them (Post 2018, "A Call for Clarity in Reporting BLEU").
    """
    known: dict[str, int] = {}
    wanted, seen = (
        codes_of([_bleu().tokenizer(text.rstrip()).split() for text in texts], known)
        for texts in (targets, predictions)
    )
    counts = shared_ngrams(wanted, seen, MAX_NGRAM)
    return np.concatenate([counts[:, 0, :2], counts[..., 2], counts[..., 0]], axis=1).astype(float)


@cache
def _bleu() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # as single rows want it; the counts are the same


def signatures() -> dict[str, str]:
    """sacrebleu's own description of bleu and chrf, version included: which numbers may be compared (Post 2018)."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    found = {}
    for name, metric in (("bleu", BLEU()), ("chrf", CHRF())):
        metric.corpus_score(["x"], [["x"]])  # the number of references is known only then
        found[name] = str(metric.get_signature())
    return found


def rouge_l(wanted: Sequence[str], seen: Sequence[str]) -> float:
    """ROUGE-L F1, 0 to 1: 2 x longest common subsequence of words / words of both (Lin 2004, "ROUGE", with beta = 1).

    The same number as the package rouge_score gives without stemming, but letters of all scripts make words, not only a-z. Text
    that is not written with spaces between words is one long word: prefer chrF there.

    Args:
        wanted: `words` of the reference.
        seen: `words` of the answer.
    """
    total = len(wanted) + len(seen)
    return 2 * LCSseq.similarity(wanted, seen) / total if total else 0.0


def rouge_n(wanted: Sequence[Sequence[str]], seen: Sequence[Sequence[str]], order: int) -> Floats:
    """[rows, order] ROUGE-1, ROUGE-2, …: F1 of the runs of n words, each counted as often as in both (Lin 2004); 0 where one has
    none."""
    known: dict[str, int] = {}
    counts = shared_ngrams(codes_of(wanted, known), codes_of(seen, known), order)
    total = counts[..., 0] + counts[..., 1]
    found: Floats = np.divide(2.0 * counts[..., 2], total, out=np.zeros(total.shape), where=total > 0)
    return found


def token_f1(target: str, prediction: str) -> float:
    """F1 of the words of an answer, as SQuAD scores answers (Rajpurkar et al. 2016): lower case, no punctuation, no a, an, the.

    The same number as the official script gives; punctuation of all scripts goes. Where either has no words: 1 if both have none.
    """
    wanted, seen = _squad_words(target), _squad_words(prediction)
    if not wanted or not seen:
        return float(wanted == seen)
    return 2 * (Counter(wanted) & Counter(seen)).total() / (len(wanted) + len(seen))


class _NoPunctuation(dict[int, str | None]):
    """A table for `str.translate` that learns letters as it meets them."""

    def __missing__(self, code: int) -> str | None:
        mark = chr(code)
        self[code] = kept = None if mark in punctuation or unicodedata.category(mark)[0] == "P" else mark
        return kept


_NO_PUNCTUATION = _NoPunctuation()


def _squad_words(text: str) -> list[str]:
    return _ARTICLE.sub(" ", text.lower().translate(_NO_PUNCTUATION)).split()


def words(text: str) -> list[str]:
    """Lower-case words: runs of letters and digits."""
    return _WORD.findall(text.lower())


def normalised(text: str) -> str:
    """Text whose writing does not matter to exact match: NFKC, white space as single spaces, none outside."""
    return " ".join(unicodedata.normalize("NFKC", text).split())
