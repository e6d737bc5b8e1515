"""Scores candidate, champion and baselines on the same frozen rows, and writes what judging and monitoring need.

Below the output folder: `predictions/<role>.jsonl` and `<role>.probabilities.npy`, `tables.json`, `reference/rows.jsonl` and
`reference/embeddings.npy`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.data.reading import write_jsonl
from ftcore.errors import IntegrityError, num_of
from ftcore.evaluation.classification.baselines import (
    ROWS_PER_CLASS,
    majority_class,
    nearest_centroid,
    sample_per_class,
)
from ftcore.evaluation.classification.few_shot import FewShot, longest_question, spread_of_orders
from ftcore.evaluation.classification.metrics import left_out, score
from ftcore.evaluation.classification.probability_files import PROBABILITY_CLASSES, write_probabilities
from ftcore.evaluation.classification.tables import confusion_matrix, per_class, per_slice
from ftcore.evaluation.costs import measured_cost
from ftcore.evaluation.kept import RunnerOf
from ftcore.evaluation.outputs import TABLES
from ftcore.evaluation.own_metrics import RowMetric, measure_rows
from ftcore.evaluation.rows import Column, Floats, Holdout, holdout_of, probabilities_of
from ftcore.models.base import BaseModel, resolve_base, saved_model
from ftcore.models.batches import Runner, run_all
from ftcore.models.choosing import Chooser
from ftcore.models.devices import Device
from ftcore.models.embeddings import Embedder
from ftcore.models.inference import Predictions, Predictor
from ftcore.models.loading import load_classifier, load_generative_base
from ftcore.records import Scored, canonical_json, digest_of
from ftcore.spec import FewShotSpec, FineTuneSpec
from ftcore.store import write_durable

Row = Mapping[str, Any]
"""Columns of a prediction file that no slice column may replace."""


@dataclass(frozen=True)
class Answers:
    """One model's answers on the holdout, in the order of its rows."""

    model_digest: str
    labels: list[str]
    confidences: list[float]
    """Probability of the predicted class (majority: its share; nearest_centroid: cosine similarity)."""
    probabilities: np.ndarray | None = None
    """[rows, classes] float32, rows sum to 1; None: it gives none."""
    classes: tuple[str, ...] = ()
    """Of the columns of `probabilities`."""
    found: Predictions | None = None
    """Of a model: tokens and time. None: a baseline."""
    told: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for tables.json."""


def classify(
    folder: Path, digest: str, rows: Sequence[Row], spec: FineTuneSpec, device: Device, runner: Runner = run_all
) -> Predictions:
    """Predictions of the saved classifier in `folder`, which must be the model `digest`.

    Args:
        runner: Runs the batches.

    Raises:
        IntegrityError: It is another model, fails its checks, or answers with NaN or infinity.
    """
    saved_model(folder, digest, folder.name)
    predictor = Predictor(load_classifier(folder), device, spec.training.max_length, spec.evaluation.batch_size, runner)
    found = predictor.predict([row["text"] for row in rows])
    if not (np.isfinite(found.probabilities).all() and np.isfinite(found.embeddings).all()):
        raise IntegrityError(f"The model {folder} answers with NaN or infinity.")
    return found


def answers_of(found: Predictions, digest: str) -> Answers:
    confidences = found.confidences.astype(float).tolist()
    return Answers(digest, list(found.labels), confidences, found.probabilities, found.classes, found)


def baseline_answers(
    name: str, train: Sequence[Row], test: Sequence[Row], spec: FineTuneSpec, device: Device, runner_of: RunnerOf
) -> Answers:
    """Answers of `majority`, `nearest_centroid` or `few_shot`, made from the training split.

    Raises:
        BaseModelError: The base model cannot be loaded, or (few_shot) has too few positions for an example.
    """
    labels = [row["label"] for row in train]
    if name == "majority":
        label = majority_class(labels)
        share = labels.count(label) / len(labels)
        return Answers(digest_of({"majority": label}), [label] * len(test), [share] * len(test))
    base = resolve_base(spec.base_model, spec.root)
    if name == "few_shot":
        return _few_shot(base, train, test, spec, device, runner_of(name, base.digest))
    chosen = sample_per_class(labels, spec.training.seed)
    say(f"nearest centroid uses {len(chosen):,} of {len(train):,} training rows (at most {ROWS_PER_CLASS} of a class)")
    texts = [train[position]["text"] for position in chosen] + [row["text"] for row in test]
    runner = runner_of(name, base.digest)
    vectors: Floats = Embedder(base, device, spec.training.max_length, spec.evaluation.batch_size, runner)(texts)
    kept = [labels[position] for position in chosen]
    predicted, similarity = nearest_centroid(vectors[: len(chosen)], kept, vectors[len(chosen) :])
    return Answers(digest_of({"nearest_centroid": base.digest}), predicted, similarity.tolist())


def _few_shot(
    base: BaseModel, train: Sequence[Row], test: Sequence[Row], spec: FineTuneSpec, device: Device, runner: Runner
) -> Answers:
    settings, max_length = spec.evaluation.few_shot or FewShotSpec(), spec.training.max_length
    chooser = Chooser(load_generative_base(base), device, spec.evaluation.batch_size, runner)
    texts = [str(row["text"]) for row in test]
    longest = longest_question(chooser, texts, max_length)
    asked = FewShot(chooser, train, settings, max_length, longest, spec.training.seed)
    shown = len(asked.examples)
    say(f"few_shot shows {shown:,} of {num_of(len(asked.drawn), 'example')} drawn, in {settings.num_orders} orders")
    found = asked.probabilities(texts)
    if not np.isfinite(found).all():
        raise IntegrityError(f"The base model {base.name} answers with NaN or infinity.")
    told = spread_of_orders(found, asked.labels, [row["label"] for row in test])
    say(f"few_shot: accuracy by order {', '.join(f'{value:.4f}' for value in told['accuracy'])}")
    mean = found.mean(axis=0).astype(np.float32)
    identity = {"few_shot": base.digest, "examples": [str(row["id"]) for _, row in asked.examples],
                "orders": [order.tolist() for order in asked.orders]}  # fmt: skip
    labels = [asked.labels[code] for code in mean.argmax(axis=1)]
    told |= {"num_examples": shown, "num_drawn": len(asked.drawn)}
    return Answers(
        digest_of(identity), labels, mean.max(axis=1).tolist(), mean, tuple(asked.labels), told={"few_shot": told}
    )


def gather_holdout(
    test: Sequence[Row],
    answers: Mapping[str, Answers],
    slices: Sequence[str],
    metrics: Mapping[str, RowMetric] | None = None,
) -> Holdout:
    """Test rows and all answers as arrays; slice columns that no row has are left out.

    Args:
        metrics: A user's own, from `load_metrics`.

    Raises:
        SpecError: One of them raises, or gives no number from 0 to 1.
    """
    labels = [row["label"] for row in test]
    targets = Column.of(labels)
    holdout = holdout_of(
        targets,
        {role: Column.of(item.labels) for role, item in answers.items()},
        Column.of([cell(row.get("group")) for row in test]),
        slice_columns(test, slices),
    )
    return replace(
        holdout,
        probabilities={
            role: probabilities_of(item.probabilities, item.classes, targets)
            for role, item in answers.items()
            if item.probabilities is not None
        },
        row_metrics={role: measure_rows(metrics or {}, labels, item.labels) for role, item in answers.items()},
    )


def slice_columns(test: Sequence[Row], slices: Sequence[str]) -> dict[str, Column]:
    """Columns to slice by; one that no row has is left out, and that is said: a misspelt name would be no check at all."""
    columns = {name: Column.of([cell(row.get(name)) for row in test]) for name in slices}
    for name, column in columns.items():
        if not column.values and name != "source":  # which is there by default
            say(f"no row has a column {name!r} (evaluation.slices): nothing is compared by it")
    return {name: column for name, column in columns.items() if column.values}


def cell(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


def score_all(holdout: Holdout, answers: Mapping[str, Answers]) -> tuple[Scored, ...]:
    """Metrics of every role, in the order of `answers`."""
    return tuple(
        Scored(role=role, model_digest=item.model_digest, metrics=score(holdout, role))
        for role, item in answers.items()
    )


def write_predictions(
    folder: Path, test: Sequence[Row], holdout: Holdout, answers: Mapping[str, Answers], slices: Sequence[str]
) -> None:
    """predictions/<role>.jsonl: id, target, prediction, confidence, a user's own metrics, group and source where present, slice
    columns. predictions/<role>.probabilities.npy: of every class, where the model gives them."""
    extra = list(dict.fromkeys(("group", "source", *slices)))
    for role, item in answers.items():
        own = holdout.row_metrics.get(role, {})
        lines = [
            {"id": str(row["id"]), "target": row["label"], "prediction": label, "confidence": confidence}
            | {name: float(values[number]) for name, values in own.items()}
            | {name: text for name in extra if (text := cell(row.get(name))) is not None}
            for number, (row, label, confidence) in enumerate(zip(test, item.labels, item.confidences, strict=True))
        ]
        write_jsonl(folder / "predictions" / f"{role}.jsonl", lines)
        if item.probabilities is not None:
            write_probabilities(folder, role, item.probabilities)


def write_tables(folder: Path, holdout: Holdout, answers: Mapping[str, Answers]) -> None:
    """tables.json: per role the confusion matrix, the table per class and the table per slice, each with n; which metrics are
    left out and why; of models also the classes of the probabilities, and tokens and time per row (the cost)."""
    tables = {
        "num_rows": holdout.num_rows,
        "num_groups": None if holdout.groups is None else int(holdout.groups.max()) + 1,
        "classes": list(holdout.classes),
        "slices": list(holdout.slices or {}),
        "models": {
            role: {
                "confusion": confusion_matrix(holdout, role),
                "per_class": per_class(holdout, role),
                "per_slice": per_slice(holdout, role),
                "left_out": left_out(holdout, role),
            }
            | _of_model(item, holdout)
            for role, item in answers.items()
        },
    }
    write_durable(folder / TABLES, canonical_json(tables))


def _of_model(item: Answers, holdout: Holdout) -> dict[str, Any]:
    told = dict(item.told)
    if item.probabilities is not None:
        told[PROBABILITY_CLASSES] = list(item.classes)
    if item.found is not None:
        told["cost"] = measured_cost(item.found.seconds, item.found.num_tokens, None, holdout.groups)
    return told


def write_reference(folder: Path, test: Sequence[Row], found: Predictions) -> None:
    """The candidate's own picture of normal traffic, which monitoring compares production with."""
    reference = folder / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    confidences = found.confidences.astype(float).tolist()
    lines = [
        {
            "id": str(row["id"]), "text": row["text"], "prediction": label, "confidence": confidence,
            "num_chars": len(row["text"]), "num_tokens": int(num_tokens),
        }
        for row, label, confidence, num_tokens in zip(test, found.labels, confidences, found.num_tokens, strict=True)
    ]  # fmt: skip
    write_jsonl(reference / "rows.jsonl", lines)
    np.save(reference / "embeddings.npy", found.embeddings.astype(np.float16), allow_pickle=False)


def say(line: str) -> None:
    """One progress line."""
    sys.stderr.write(f"evaluate: {line}\n")
    sys.stderr.flush()
