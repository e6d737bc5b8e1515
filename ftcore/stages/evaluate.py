"""evaluate: candidate, champion and baselines on the same frozen rows.

The champion is scored as it is served: with the token limit, batch size, generation settings and cleaning of its own package's
spec, on this run's device. One thing cannot be made up for: rows that `prepare` has cleaned stay clean for a champion that is
served without cleaning (`prepare.fix_encoding: false`), because the raw text is not at hand here.

Answers are kept in the scratch folder as they come, so that the next run after a kill goes on from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ftcore.evaluation.outputs import HOLDOUT, PINNED, SIZES
from ftcore.records import DataRef, Evaluation, ModelRef, PreparedDataset, Record, Scored, TrainingRun, canonical_json
from ftcore.spec import PREVIOUS_CHAMPION, FineTuneSpec
from ftcore.store import Output, Store, write_durable

if TYPE_CHECKING:
    from ftcore.evaluation.kept import RunnerOf
    from ftcore.evaluation.pinned import PinnedRows
    from ftcore.models.devices import Device


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> Evaluation:
    """Writes predictions/<role>.jsonl, tables.json, the candidate's monitoring reference, holdout.json (which rows it was),
    sizes.json (of the models' files, in millions of bytes) and, where the spec has them, pinned.jsonl (rows that must pass),
    probes.json and probe_answers.jsonl, llm_judge.json.

    Refuses an empty split, and a champion of another task.

    Raises:
        IntegrityError: A model or the champion's spec fails its checks, or a model answers with NaN or infinity.
        BaseModelError: The base model that a baseline needs cannot be loaded.
        SpecError: A metric of the user's own cannot be loaded, raises, or gives no number from 0 to 1.
        UsageError: A file that `evaluation.must_pass` or `evaluation.probes` names cannot be used.
    """
    from ftcore.data.reading import read_jsonl
    from ftcore.data.rows import holdout_identity
    from ftcore.evaluation.classification.scoring import say
    from ftcore.evaluation.gate.looks import sketch_of
    from ftcore.evaluation.gate.rules import compared_digest
    from ftcore.evaluation.kept import KeptAnswers
    from ftcore.evaluation.pinned import read_pinned
    from ftcore.models.devices import choose
    from ftcore.training.checkpoints import exclusive

    prepared, training = cast(PreparedDataset, inputs["prepare"]), cast(TrainingRun, inputs["train"])
    champion = cast(ModelRef | None, inputs.get("champion"))
    rows = store.resolve(prepared.uri)
    train, test = read_jsonl(rows / "train.jsonl"), read_jsonl(rows / "test.jsonl")
    record = Evaluation(
        uri=output.uri,
        test_digest=prepared.test_digest,
        num_rows=len(test),
        models=(),
        candidate_digest=training.model_digest,
        champion_digest=champion.model_digest if champion else None,
        champion_seq=champion.seq if champion else 0,
        compared_digest=compared_digest(spec),
    )
    sketch = sketch_of(holdout_identity(row) for row in test)
    write_durable(output.path / HOLDOUT, canonical_json({"rows": sketch}))
    empty = [name for name, part in (("training", train), ("test", test)) if not part]
    if empty:
        return replace(record, refused=tuple(f"The {name} split is empty: nothing can be measured." for name in empty))
    served = _served_spec(champion, store)
    if served is not None and served.task != spec.task:
        seen = f"The champion was made for task {served.task}, this candidate for {spec.task}"
        return replace(record, refused=(f"{seen}: they cannot be compared. A new task wants a spec with a new name.",))
    pinned = read_pinned(spec, spec.at(spec.evaluation.must_pass)) if spec.evaluation.must_pass else None
    device = choose(spec.compute)
    device.prepare()
    say(f"{len(test):,} holdout rows, {device.device} {device.precision}")
    candidate = _Model(store.resolve(training.uri) / "model", training.model_digest, spec, test)
    models = {"candidate": candidate}
    if champion is not None and served is not None:
        models["champion"] = _served(champion, served, test, spec, store)
    if PREVIOUS_CHAMPION in spec.evaluation.baselines:
        previous = _previous(spec, cast(ModelRef | None, inputs.get(PREVIOUS_CHAMPION)), test, store)
        models |= {PREVIOUS_CHAMPION: previous} if previous is not None else {}
    score = _classify if spec.task == "classification" else _generate
    sizes = {role: _mb(model.folder) for role, model in models.items()}
    write_durable(output.path / SIZES, canonical_json(sizes))
    with exclusive(output.scratch, output.path / "kept") as kept_in:
        kept = KeptAnswers(kept_in / "answers", f"{device.device} {device.precision}", say)
        scored = score(spec, models, train, device, output.path, kept.runner)
    if pinned is not None:
        _answer_pinned(pinned, candidate, device, output.path)
    if spec.evaluation.llm_judge is not None:
        from ftcore.evaluation.llm_judge.judging import judge_answers
        from ftcore.evaluation.llm_judge.telling import summary

        say(summary(judge_answers(spec, output.path)))
    return replace(record, models=scored)


@dataclass(frozen=True)
class _Model:
    """A saved model and how it is asked."""

    folder: Path
    digest: str
    spec: FineTuneSpec
    rows: Sequence[dict[str, Any]]
    """The holdout as the model would see it."""


def _served_spec(champion: ModelRef | None, store: Store) -> FineTuneSpec | None:
    from ftcore.registry.package import package_spec

    return None if champion is None else package_spec(store.resolve(champion.uri))


def _served(
    model: ModelRef, served: FineTuneSpec, test: Sequence[dict[str, Any]], spec: FineTuneSpec, store: Store
) -> _Model:
    """A promoted model, asked as it is served, with as many rows at a time as the candidate: their times are compared."""
    batch_size = {"batch_size": spec.evaluation.batch_size}
    served = served.model_copy(update={"evaluation": served.evaluation.model_copy(update=batch_size)})
    rows = _cleaned(test) if served.prepare.fix_encoding else test
    return _Model(store.resolve(model.uri) / "model", model.model_digest, served, rows)


def _previous(
    spec: FineTuneSpec, model: ModelRef | None, test: Sequence[dict[str, Any]], store: Store
) -> _Model | None:
    """The model that the champion replaced; None, and a line that says why, where there is none to compare with."""
    from ftcore.evaluation.classification.scoring import say

    served = _served_spec(model, store)
    if model is None or served is None:
        say("baseline previous_champion is left out: the champion has replaced no model")
        return None
    if served.task != spec.task:
        say(f"baseline previous_champion is left out: that model was made for task {served.task}")
        return None
    return _served(model, served, test, spec, store)


def _mb(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def _classify(
    spec: FineTuneSpec,
    models: Mapping[str, _Model],
    train: Sequence[dict[str, Any]],
    device: Device,
    folder: Path,
    runner_of: RunnerOf,
) -> tuple[Scored, ...]:
    from ftcore.evaluation.classification import scoring
    from ftcore.evaluation.own_metrics import load_metrics
    from ftcore.models.base import resolve_base
    from ftcore.models.choosing import require_decoder

    answers, test = {}, models["candidate"].rows
    metrics = load_metrics(spec.evaluation.metrics or ())
    if "few_shot" in spec.evaluation.baselines:
        base = resolve_base(spec.base_model, spec.root)
        require_decoder(base.path, base.name)
    for role, model in models.items():
        scoring.say(f"{role} {model.digest[:12]}")
        runner = runner_of(role, model.digest)
        predictions = scoring.classify(model.folder, model.digest, model.rows, model.spec, device, runner)
        answers[role] = scoring.answers_of(predictions, model.digest)
        if role == "candidate":
            found = predictions
    for name in spec.evaluation.baselines:
        if name == PREVIOUS_CHAMPION:
            continue
        scoring.say(f"baseline {name}")
        answers[name] = scoring.baseline_answers(name, train, test, spec, device, runner_of)
    slices = spec.evaluation.slices
    holdout = scoring.gather_holdout(test, answers, slices, metrics)
    scoring.write_predictions(folder, test, holdout, answers, slices)
    scoring.write_tables(folder, holdout, answers)
    scoring.write_reference(folder, test, found)
    return scoring.score_all(holdout, answers)


def _generate(
    spec: FineTuneSpec,
    models: Mapping[str, _Model],
    train: Sequence[dict[str, Any]],
    device: Device,
    folder: Path,
    runner_of: RunnerOf,
) -> tuple[Scored, ...]:
    from ftcore.evaluation.classification.scoring import say
    from ftcore.evaluation.generation import baselines, scoring
    from ftcore.evaluation.probes.asking import probes_of

    answers, test = {}, models["candidate"].rows
    metrics, probes = scoring.row_metrics_of(spec), probes_of(spec, test, train)
    for role, model in models.items():
        say(f"{role} {model.digest[:12]}")
        generator = scoring.generator_of(model.folder, model.digest, model.spec, device, runner_of(role, model.digest))
        prompts = [baselines.prompt_of(row, spec.task) for row in model.rows]
        answers[role] = scoring.answer(generator, model.digest, prompts, model.rows)
        if role == "candidate":
            reference = scoring.reference_of(generator, prompts, answers[role])
        if probes is not None and role != PREVIOUS_CHAMPION:
            probes.ask(role, generator, model.rows, answers[role].reply.texts)
        del generator  # before the next model takes memory
    for name, answered in scoring.baseline_answers(train, test, spec, device, runner_of):
        say(f"baseline {name} is done")
        answers[name] = answered
    slices = spec.evaluation.slices
    holdout = scoring.gather_holdout(test, answers, slices, metrics)
    scoring.write_predictions(folder, test, holdout, answers, slices)
    scoring.write_tables(folder, holdout, answers)
    scoring.write_reference(folder, test, answers["candidate"], reference)
    if probes is not None:
        probes.finish(folder, device)
    return scoring.score_all(holdout, answers)


def _answer_pinned(pinned: PinnedRows, model: _Model, device: Device, folder: Path) -> None:
    """pinned.jsonl: id, prediction and whether it passed, of each row that must pass."""
    from ftcore.data.reading import write_jsonl
    from ftcore.data.rows import clean_row

    rows = [clean_row(row, model.spec.prepare) for row in pinned.rows]
    answers: Sequence[str]
    if model.spec.task == "classification":
        from ftcore.evaluation.classification.scoring import classify

        answers = classify(model.folder, model.digest, rows, model.spec, device).labels
    else:
        from ftcore.evaluation.generation import baselines, scoring

        generator = scoring.generator_of(model.folder, model.digest, model.spec, device)
        answers = generator.generate([baselines.prompt_of(row, model.spec.task) for row in rows]).texts
    write_jsonl(folder / PINNED, [
        {"id": row["id"], "prediction": answer, "passed": passed}
        for row, answer, passed in zip(rows, answers, pinned.passed(answers), strict=True)
    ])  # fmt: skip


def _cleaned(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a server that cleans would see them; clean ones and reference answers stay as they are."""
    from ftcore.data.cleaning import clean_lines, clean_text

    cleaned = []
    for row in rows:
        if "messages" in row:
            asked = [{**turn, "content": clean_lines(turn["content"])} for turn in row["messages"][:-1]]
            text = "\n".join(turn["content"] for turn in asked)
            cleaned.append({**row, "text": text, "messages": [*asked, row["messages"][-1]]})
        else:
            cleaned.append({**row, "text": clean_text(row["text"])})
    return cleaned
