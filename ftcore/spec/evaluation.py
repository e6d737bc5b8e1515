"""What is measured on the holdout, and what a promotion needs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    Field,
    SerializerFunctionWrapHandler,
    WithJsonSchema,
    field_validator,
    model_serializer,
    model_validator,
)

from ftcore.spec.base import Fraction, Name, Probability, Section, without_unset
from ftcore.spec.llm_judge import LlmJudgeSpec
from ftcore.spec.probes import ProbesSpec

Baseline = Literal["majority", "nearest_centroid", "base", "few_shot", "similar_reply", "previous_champion"]
PREVIOUS_CHAMPION = "previous_champion"
"""Role of the model that the champion replaced."""
GenerationMetric = Literal[
    "chrf", "bleu", "rouge_1", "rouge_2", "rouge_l", "exact_match", "token_f1", "inverse_perplexity"
]
LabelMetric = Literal["accuracy", "macro_precision", "macro_recall", "macro_f1", "mcc", "roc_auc"]
CalibrationMetric = Literal["brier", "ece"]
"""Less is better: a guard may name them, a floor may not."""
GateMetric = Literal["accuracy", "macro_f1", GenerationMetric]
"""Metrics that may decide; so may a user's own."""
OWN_METRIC = "own."
"""Begins the name of a user's own metric wherever a metric is named: `own.politeness` for the entry point politeness."""
_OWN = r"own\.[a-z][a-z0-9_]{0,62}"


def _named(allowed: Sequence[str]) -> Any:
    """Type of a metric's name: one of `allowed`, or a user's own."""

    def check(name: str) -> str:
        if name in allowed or re.fullmatch(_OWN, name):
            return name
        wanted = ", ".join(f"'{item}'" for item in allowed)
        raise ValueError(f"Input should be {wanted} or 'own.NAME' with NAME of evaluation.metrics")

    schema = {"anyOf": [{"enum": list(allowed), "type": "string"}, {"pattern": f"^{_OWN}$", "type": "string"}]}
    return AfterValidator(check), WithJsonSchema(schema)


DecidingMetric = Annotated[str, *_named(get_args(GateMetric))]
_MEASURED = (*get_args(LabelMetric), *get_args(GenerationMetric), "format_valid")
MetricName = Annotated[str, *_named(_MEASURED)]
GuardName = Annotated[str, *_named((*_MEASURED, *get_args(CalibrationMetric)))]
ProbeName = Annotated[str, Field(pattern=r"^(groundedness|self_consistency|safety|canaries|forgetting)\..+$")]
"""PROBE.NAME, as the report and MLflow have it: forgetting.bits_per_byte."""


class FormatSpec(Section):
    """What every answer must look like; one of the two. The share of answers that do is the metric format_valid."""

    json_schema: dict[str, Any] | None = None
    """The answer is one JSON value that this JSON Schema (draft 2020-12) accepts; a $ref stays within it."""
    regex: str | None = None
    """The whole answer, without outer white space, matches this Python regular expression."""

    @model_validator(mode="after")
    def _is_one(self) -> FormatSpec:
        if (self.json_schema is None) == (self.regex is None):
            raise ValueError("wanted json_schema or regex, and not both")
        return self

    @field_validator("regex")
    @classmethod
    def _compiles(cls, regex: str | None) -> str | None:
        try:
            re.compile(regex or "")
        except re.error as error:
            raise ValueError(f"no regular expression: {error}") from None
        return regex

    @field_validator("json_schema")
    @classmethod
    def _is_a_schema(cls, schema: dict[str, Any] | None) -> dict[str, Any] | None:
        if schema is not None:
            from jsonschema import Draft202012Validator, SchemaError

            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                raise ValueError(f"no JSON Schema: {error.message} at {error.json_path}") from None
            if outside := [name for name in _references(schema) if not name.startswith("#")]:
                raise ValueError(f"$ref {outside[0]!r} is outside of the schema, wanted #/$defs/…; nothing is loaded")
        return schema


def _references(schema: Any) -> Iterator[str]:
    """Every $ref in a JSON Schema."""
    parts = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    if isinstance(schema, dict) and isinstance(schema.get("$ref"), str):
        yield schema["$ref"]
    for part in parts:
        yield from _references(part)


Cost = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]


LABEL_COLUMNS = ("id", "target", "prediction", "confidence", "group")
TEXT_COLUMNS = (
    "id", "target", "prediction", "nll", "num_target_tokens", "chrf", "rouge_1", "rouge_2", "rouge_l", "exact_match", "token_f1",
    "format_valid", "num_tokens", "stopped", "group",
)  # fmt: skip
"""Columns of a file of predictions (of answers), which no slice column may replace."""


class GenerationSpec(Section):
    """How answers are generated (tasks instruction and seq2seq)."""

    max_new_tokens: Annotated[int, Field(ge=1)] = 128
    """Longest answer in tokens; one that has not ended by then is cut."""
    num_beams: Annotated[int, Field(ge=1, le=32)] = 1
    """1: greedy, the likeliest token at each step; more: beam search, slower, mostly for translation and summaries."""
    num_examples: Annotated[int, Field(ge=1, le=64)] = 3
    """Training rows that the baseline few_shot puts before each question."""
    format: FormatSpec | None = None
    """What every answer must look like: measured as format_valid, and so a possible floor."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, ("format",))


class FewShotSpec(Section):
    """The baseline few_shot of classification: the base model, a decoder, goes on from a prompt with examples."""

    per_class: Annotated[int, Field(ge=1, le=64)] = 1
    """Training rows of each class that the prompt shows; fewer, one of each class first, where the model's positions end."""
    num_orders: Annotated[int, Field(ge=3, le=20)] = 3
    """Orders of the examples that are asked; their probabilities are averaged, their accuracies told."""


class EvaluationSpec(Section):
    """What is measured on the holdout."""

    baselines: list[Baseline] = ["majority", "nearest_centroid"]
    """Scored beside the candidate; every promoted model must beat them. Classification: majority (the most frequent class),
    nearest_centroid (of the base model's embeddings), few_shot (a decoder with examples in its prompt). Generation: base (the
    base model as it is), few_shot (the base model with examples before the question), similar_reply (the most similar
    training row's answer); default: these three. Any task: previous_champion (what the champion replaced; left out where
    there is none), to be beaten by `min_gain`."""
    slices: list[str] = Field(default_factory=lambda: ["source"])
    """Columns to slice by; the label is always one."""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """Rows per forward pass."""
    must_pass: str | None = None
    """JSONL file, relative to the project folder, of rows that every promoted model must answer right (docs/gate.md)."""
    generation: GenerationSpec = GenerationSpec()
    """How answers are generated."""
    few_shot: FewShotSpec | None = None
    """How the baseline few_shot of classification is asked; null: one example per class, three orders."""
    metrics: list[Name] | None = None
    """Your own metrics, by the name of their entry point in the group ftcore.metrics (docs/metrics.md)."""
    costs: dict[str, dict[str, Cost]] = Field(default_factory=dict)
    """What mistakes cost, for the error report: `{true label: {predicted label: number}}`; 1 where nothing is said. Ranks errors,
    decides nothing."""
    probes: ProbesSpec | None = None
    """Groundedness, self-consistency, safety, forgetting and canaries (generated text only). Null: none of them; `{}`: those that
    cost little."""
    llm_judge: LlmJudgeSpec | None = None
    """A language model that compares candidate and champion, for people to read; it decides nothing (docs/llm-judge.md)."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, ("few_shot", "llm_judge", "metrics", "probes"))


class GateSpec(Section):
    """The evidence that a promotion needs. Fractions, not percents: 0.005 is half a point."""

    metric: DecidingMetric = "accuracy"
    """The metric that candidate and champion are compared on; higher is better. Classification: accuracy or macro_f1. Generation:
    chrf (default), bleu, rouge_1, rouge_2, rouge_l, exact_match, token_f1, or inverse_perplexity (1 / perplexity of the reference
    answer). Or own.NAME, a metric of evaluation.metrics."""
    margin: Fraction = 0.005
    """Non-inferiority: the one-sided lower bound (at 1 - alpha) of candidate minus champion must stay above -margin."""
    min_gain: Fraction = 0.005
    """Smallest difference worth a change of production."""
    strict: bool = False
    """Also require two-sided p < alpha: exact McNemar (accuracy), sign-flip or swap permutation (groups, other metrics)."""
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
    """Slices with fewer rows, or rows of fewer than ten groups, are shown, not judged."""
    guards: dict[GuardName, Fraction] = Field(default_factory=dict)
    """Further metrics that must not be worse than the champion's, each with its own margin: `{macro_f1: 0.01, brier: 0.01}`. Of
    brier and ece less is better: the margin is the rise that is allowed."""
    probe_guards: dict[ProbeName, Annotated[float, Field(ge=0.0, allow_inf_nan=False)]] | None = None
    """Probes on which it must not be worse than the champion, each with its own margin, in the unit of the probe (a share: a
    fraction): `{forgetting.bits_per_byte: 0.05, safety.harm_refused: 0.2, groundedness.numbers: 0.02}`. They need
    `evaluation.probes`."""
    slices: dict[str, Annotated[list[str], Field(min_length=1)]] = Field(default_factory=dict)
    """Values of slice columns that must be judged: `{source: [email, chat]}`. Without rows: HOLD; with fewer than
    `min_slice_rows`, or than ten groups: NOT ENOUGH EVIDENCE."""
    max_broken: Fraction | None = None
    """Largest share of rows that the champion has right and the candidate wrong (generated text: rows whose `metric` falls by
    more than 0.5). Null: no limit."""
    max_size_mb: Annotated[float, Field(gt=0)] | None = None
    """Largest size of the model's files, in millions of bytes. Null: no limit."""
    max_latency_ms: Annotated[float, Field(gt=0)] | None = None
    """Longest time per row (95th percentile) as measured while evaluating. Null: no limit."""
    max_latency_ratio: Annotated[float, Field(gt=0)] | None = None
    """Longest time per row over the champion's in the same evaluation. Null: no limit."""
    max_decisions: Annotated[int, Field(ge=1)] = 20
    """Looks at one holdout (candidates scored on it) before it is worn out: then HOLD until enough of its rows are fresh. The
    k-th look has bounds at 1 - alpha / k."""

    @model_serializer(mode="wrap")
    def _plain(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return without_unset(self, write, ("probe_guards",))
