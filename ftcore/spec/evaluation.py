"""What is measured on the holdout, and what a promotion needs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import (
    Field,
)

from ftcore.spec.base import Fraction, Probability, Section

Baseline = Literal["majority", "nearest_centroid", "base", "few_shot", "similar_reply"]
GenerationMetric = Literal["chrf", "bleu", "rouge_l", "exact_match", "inverse_perplexity"]
GateMetric = Literal["accuracy", "macro_f1", GenerationMetric]
MetricName = Literal["accuracy", "macro_precision", "macro_recall", "macro_f1", GenerationMetric]


Cost = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


class GenerationSpec(Section):
    """How answers are generated (tasks instruction and seq2seq)."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest answer in tokens; one that has not ended by then is cut."""
    num_beams: Annotated[int, Field(ge=1, le=32)] = 1
    """1: greedy, the likeliest token at each step; more: beam search, slower, mostly for translation and summaries."""
    num_examples: Annotated[int, Field(ge=1, le=64)] = 3
    """Training rows that the baseline few_shot puts before each question."""


class EvaluationSpec(Section):
    """What is measured on the holdout."""

    baselines: list[Baseline] = ["majority", "nearest_centroid"]
    """Cheap models scored beside the candidate; every promoted model must beat them. Classification: majority (the most frequent
    class), nearest_centroid (of the base model's embeddings). Generation: base (the base model as it is), few_shot (the base
    model with examples before the question), similar_reply (the most similar training row's answer); default: all."""
    slices: list[str] = Field(default_factory=lambda: ["source"])
    """Columns to slice by; the label is always one."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows per forward pass."""
    must_pass: str | None = None
    """JSONL file, relative to the project folder, of rows that every promoted model must answer right (docs/gate.md)."""
    generation: GenerationSpec = GenerationSpec()
    """How answers are generated."""
    costs: dict[str, dict[str, Cost]] = Field(default_factory=dict)
    """What mistakes cost, for the error report: `{true label: {predicted label: number}}`; 1 where nothing is said. Ranks errors,
    decides nothing."""


class GateSpec(Section):
    """The evidence that a promotion needs. Fractions, not percents: 0.005 is half a point."""

    metric: GateMetric = "accuracy"
    """The metric that candidate and champion are compared on; higher is better. Classification: accuracy or macro_f1. Generation:
    chrf (default), bleu, rouge_l, exact_match, or inverse_perplexity (1 / perplexity of the reference answer)."""
    margin: Fraction = 0.005
    """Non-inferiority: the one-sided lower bound (at 1 - alpha) of candidate minus champion must stay above -margin."""
    min_gain: Fraction = 0.005
    """Smallest difference worth a change of production."""
    strict: bool = False
    """Also require p < alpha: exact McNemar (accuracy), sign-flip or swap permutation (groups, other metrics)."""
    alpha: Annotated[float, Field(gt=0.0, lt=0.5)] = 0.05
    """Error rate of each one-sided bound and test that decides: 0.05 means bounds at 95 %. Intervals shown always have 95 %."""
    power: Probability = 0.8
    """Wanted chance of seeing a real gain; with too few rows the verdict is NOT ENOUGH EVIDENCE."""
    floors: dict[MetricName, Fraction] = {"accuracy": 0.7, "macro_f1": 0.6}  # pydantic copies defaults
    """Absolute minima, by metric. For generation the default is `{chrf: 0.2}`."""
    min_over_baseline: Fraction = 0.02
    """How far above the best baseline every promoted model must be."""
    min_rows: Annotated[int, Field(ge=1)] = 200
    """Fewer holdout rows are never enough evidence."""
    min_slice_rows: Annotated[int, Field(ge=1)] = 100
    """Slices with fewer rows are shown, not judged."""
    guards: dict[MetricName, Fraction] = Field(default_factory=dict)
    """Further metrics that must not be worse than the champion's, each with its own margin: `{macro_f1: 0.01}`."""
    slices: dict[str, list[str]] = Field(default_factory=dict)
    """Values of slice columns that must be judged: `{source: [email, chat]}`. Without rows: HOLD; with fewer than
    `min_slice_rows`: NOT ENOUGH EVIDENCE."""
    max_broken: Fraction | None = None
    """Largest share of rows that the champion has right and the candidate wrong. Null: no limit."""
    max_size_mb: Annotated[float, Field(gt=0)] | None = None
    """Largest size of the model's files, in millions of bytes. Null: no limit."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Longest time per row (95th percentile) as measured while evaluating. Null: no limit."""
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = None
    """Longest time per row over the champion's in the same evaluation. Null: no limit."""
    max_decisions: Annotated[int, Field(ge=1)] = 20
    """Decisions on one holdout before it is worn out: then HOLD until at least a quarter of its rows are fresh. The k-th decision
    has bounds at 1 - alpha / k."""
