"""Answers of candidate, champion and baselines on the same frozen rows, and the files that judging and monitoring need.

Below the output folder: `predictions/<role>.jsonl`, `tables.json`, `reference/rows.jsonl` and `reference/embeddings.npy`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.data.reading import write_jsonl
from ftcore.errors import IntegrityError
from ftcore.evaluation.classification.scoring import cell, slice_columns
from ftcore.evaluation.classification.tables import SMALL_SLICES_SHOWN
from ftcore.evaluation.costs import measured_cost
from ftcore.evaluation.generation.baselines import (
    few_shot_prompt,
    prompt_of,
    sample_examples,
    similar_replies,
)
from ftcore.evaluation.generation.formats import format_metric
from ftcore.evaluation.generation.holdout import Reply, TextHoldout, text_holdout
from ftcore.evaluation.generation.metrics import FORMAT_VALID, row_scores, score, value_of
from ftcore.evaluation.generation.row_statistics import signatures
from ftcore.evaluation.kept import RunnerOf
from ftcore.evaluation.outputs import TABLES
from ftcore.evaluation.own_metrics import RowMetric, load_metrics, measure_rows
from ftcore.evaluation.rows import Column, Floats
from ftcore.models.base import resolve_base, saved_model
from ftcore.models.batches import Runner, run_all
from ftcore.models.devices import Device
from ftcore.models.generation import Generated, Generator
from ftcore.models.loading import load_generative_base, load_model
from ftcore.models.prompts import Prompt
from ftcore.records import Scored, canonical_json, digest_of
from ftcore.spec import PREVIOUS_CHAMPION, FineTuneSpec
from ftcore.store import write_durable

Row = Mapping[str, Any]
_NOT_PER_ROW = ("bleu", "inverse_perplexity")
"""Of the corpus only: BLEU of one row says little, and of likelihoods the file has the parts."""


@dataclass(frozen=True)
class Answers:
    """One model's answers on the holdout, in the order of its rows."""

    model_digest: str
    reply: Reply
    generated: Generated | None = None
    """None: the answers were copied, not generated."""


@dataclass(frozen=True)
class Reference:
    """How the candidate sees normal traffic."""

    embeddings: np.ndarray
    """[rows, hidden]: mean-pooled last hidden state of the prompt."""
    confidences: Floats
    """[rows]: geometric mean of the probabilities of its own answer's tokens, the one that ends it included."""


def generator_of(folder: Path, digest: str, spec: FineTuneSpec, device: Device, runner: Runner = run_all) -> Generator:
    """The saved model in `folder`, which must be the model `digest`, ready to answer as the spec says.

    Args:
        runner: Runs the batches.

    Raises:
        IntegrityError: It is another model, fails its checks, or is a classifier.
        BaseModelError: It has too few positions for the spec's answers.
    """
    saved_model(folder, digest, folder.name)
    loaded = load_model(folder)
    if loaded.kind == "classifier":
        raise IntegrityError(f"{folder} holds a classifier; wanted a model that generates text.")
    settings = spec.evaluation
    return Generator(loaded, device, spec.training.max_length, settings.batch_size, settings.generation, runner)


def answer(generator: Generator, digest: str, prompts: Sequence[Prompt], rows: Sequence[Row]) -> Answers:
    """Generate an answer to every prompt, and see how likely the model finds the true ones.

    Raises:
        IntegrityError: A likelihood is NaN or infinite.
    """
    generated = generator.generate(prompts)
    nll, num_tokens = generator.log_likelihoods(prompts, [row["completion"] for row in rows])
    if not np.isfinite(nll).all():
        raise IntegrityError(f"The model {digest[:12]} answers with NaN or infinity.")
    return Answers(digest, Reply(generated.texts, nll, num_tokens.astype(float)), generated)


def reference_of(generator: Generator, prompts: Sequence[Prompt], answers: Answers) -> Reference:
    """The candidate's embeddings and confidences.

    Raises:
        IntegrityError: One is NaN or infinite.
    """
    embeddings = generator.embed(prompts)
    nll, num_tokens = generator.log_likelihoods(prompts, answers.reply.texts)
    confidences = np.exp(-nll / np.maximum(num_tokens, 1))
    if not (np.isfinite(embeddings).all() and np.isfinite(confidences).all()):
        raise IntegrityError(f"The model {answers.model_digest[:12]} answers with NaN or infinity.")
    return Reference(embeddings, confidences)


def baseline_answers(
    train: Sequence[Row], test: Sequence[Row], spec: FineTuneSpec, device: Device, runner_of: RunnerOf
) -> Iterator[tuple[str, Answers]]:
    """Name and answers of each of the spec's baselines; the base model is loaded once.

    Raises:
        BaseModelError: The base model cannot be loaded, or was never trained to generate text.
    """
    settings, max_length = spec.evaluation, spec.training.max_length
    examples = sample_examples(train, settings.generation.num_examples, spec.training.seed)
    base, loaded = None, None
    for name in settings.baselines:
        if name == PREVIOUS_CHAMPION:  # scored with the models
            continue
        if name == "similar_reply":
            copied = {"similar_reply": [[row["text"], row["completion"]] for row in train]}
            yield name, Answers(digest_of(copied), Reply(similar_replies(train, test)))
            continue
        if base is None or loaded is None:
            base = resolve_base(spec.base_model, spec.root)
            loaded = load_generative_base(base)
        if name == "base":
            identity: dict[str, Any] = {"base": base.digest}
            length = max_length
            prompts = [prompt_of(row, spec.task) for row in test]
        else:  # room for the examples, or they would be cut and the baseline be weaker than it is
            length = max_length * (1 + len(examples))
            identity = {"few_shot": base.digest, "examples": [str(row["id"]) for row in examples]}
            prompts = [few_shot_prompt(row, examples, spec.task) for row in test]
        runner = runner_of(name, base.digest)
        generator = Generator(loaded, device, length, settings.batch_size, settings.generation, runner)
        yield name, answer(generator, digest_of(identity), prompts, test)


def gather_holdout(
    test: Sequence[Row],
    answers: Mapping[str, Answers],
    slices: Sequence[str],
    metrics: Mapping[str, RowMetric] | None = None,
) -> TextHoldout:
    """Test rows and all answers; slice columns that no row has are left out.

    Args:
        metrics: Of single rows: `row_metrics_of` the spec.

    Raises:
        DataRefused: There are no rows.
        SpecError: A user's own metric raises, or gives no number from 0 to 1.
    """
    targets = [row["completion"] for row in test]
    return text_holdout(
        targets,
        {
            role: replace(item.reply, row_metrics=measure_rows(metrics or {}, targets, item.reply.texts))
            for role, item in answers.items()
        },
        Column.of([cell(row.get("group")) for row in test]),
        slice_columns(test, slices),
    )


def row_metrics_of(spec: FineTuneSpec) -> dict[str, RowMetric]:
    """Metrics of single rows that the spec asks for: the form of the answers, and a user's own.

    Raises:
        SpecError: One of the user's own cannot be loaded.
    """
    wanted = spec.evaluation.generation.format
    found: dict[str, RowMetric] = {} if wanted is None else {FORMAT_VALID: format_metric(wanted)}
    return found | load_metrics(spec.evaluation.metrics or ())


def score_all(holdout: TextHoldout, answers: Mapping[str, Answers]) -> tuple[Scored, ...]:
    """Metrics of every role, in the order of `answers`."""
    return tuple(
        Scored(role=role, model_digest=item.model_digest, metrics=score(holdout, role))
        for role, item in answers.items()
    )


def write_predictions(
    folder: Path, test: Sequence[Row], holdout: TextHoldout, answers: Mapping[str, Answers], slices: Sequence[str]
) -> None:
    """predictions/<role>.jsonl: id, target, prediction, scores of the row on its own (chrf, the ROUGEs, exact_match, token_f1,
    format_valid, a user's own), nll and num_target_tokens of the reference, num_tokens and stopped of the answer; group, source
    and slice columns where present."""
    extra = list(dict.fromkeys(("group", "source", *slices)))
    for role, item in answers.items():
        scores = row_scores(holdout.statistics[role])
        lines = []
        for number, row in enumerate(test):
            line = {"id": str(row["id"]), "target": row["completion"], "prediction": item.reply.texts[number]}
            line |= {name: float(rows[number]) for name, rows in scores.items() if name not in _NOT_PER_ROW}
            if item.reply.nll is not None and item.reply.num_tokens is not None:
                line |= {
                    "nll": float(item.reply.nll[number]), "num_target_tokens": int(item.reply.num_tokens[number]),
                }  # fmt: skip
            if item.generated is not None:
                stopped = bool(item.generated.stopped[number])
                line |= {"num_tokens": int(item.generated.num_tokens[number]), "stopped": stopped}
            lines.append(line | {name: text for name in extra if (text := cell(row.get(name))) is not None})
        write_jsonl(folder / "predictions" / f"{role}.jsonl", lines)


def write_tables(folder: Path, holdout: TextHoldout, answers: Mapping[str, Answers]) -> None:
    """tables.json: sacrebleu's signatures; per role the metrics per slice with n, how answers ended, how long they are; of
    models also tokens and time per row (the cost)."""
    tables = {
        "num_rows": holdout.num_rows,
        "signatures": signatures(),
        "num_groups": None if holdout.groups is None else int(holdout.groups.max()) + 1,
        "slices": list(holdout.slices or {}),
        "models": {
            role: {"per_slice": _per_slice(holdout, role), "answers": _endings(item)} | _of_model(item, holdout)
            for role, item in answers.items()
        },
    }
    write_durable(folder / TABLES, canonical_json(tables))


def _per_slice(holdout: TextHoldout, role: str) -> list[dict[str, Any]]:
    """Every metric per value of every slice column; largest slices first."""
    lines: list[dict[str, Any]] = []
    for name, column in (holdout.slices or {}).items():
        sizes = np.bincount(column.codes[column.codes >= 0], minlength=len(column.values))
        for code in np.argsort(-sizes, kind="stable")[:SMALL_SLICES_SHOWN]:
            part = holdout.rows(np.flatnonzero(column.codes == code))
            values = {metric: value_of(part, role, metric) for metric in holdout.statistics[role]}
            lines.append({"column": name, "value": column.values[code], "n": part.num_rows, **values})
    return lines


def _endings(item: Answers) -> dict[str, Any]:
    found: dict[str, Any] = {"num_empty": sum(not text for text in item.reply.texts)}
    if item.generated is not None:
        generated = item.generated
        found |= {
            "num_stopped": int(generated.stopped.sum()), "num_prompts_cut": int(generated.was_cut.sum()),
            "length": {f"p{part}": float(np.percentile(generated.num_tokens, part)) for part in (5, 50, 95)},
        }  # fmt: skip
    return found


def _of_model(item: Answers, holdout: TextHoldout) -> dict[str, Any]:
    found = item.generated
    if found is None:
        return {}
    return {"cost": measured_cost(found.seconds, found.num_prompt_tokens, found.num_tokens, holdout.groups)}


def write_reference(folder: Path, test: Sequence[Row], answers: Answers, seen: Reference) -> None:
    """The candidate's own picture of normal traffic, which monitoring compares production with."""
    assert answers.generated is not None
    reference = folder / "reference"
    reference.mkdir(parents=True, exist_ok=True)
    generated = answers.generated
    lines = [
        {
            "id": str(row["id"]), "text": row["text"], "prediction": text, "confidence": float(seen.confidences[number]),
            "num_chars": len(row["text"]), "num_tokens": int(generated.num_prompt_tokens[number]),
            "num_answer_chars": len(text), "num_answer_tokens": int(generated.num_tokens[number]),
            "stopped": bool(generated.stopped[number]),
        }
        for number, (row, text) in enumerate(zip(test, generated.texts, strict=True))
    ]  # fmt: skip
    write_jsonl(reference / "rows.jsonl", lines)
    np.save(reference / "embeddings.npy", seen.embeddings.astype(np.float16), allow_pickle=False)
