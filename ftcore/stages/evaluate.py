"""evaluate: candidate, champion and baselines on the same frozen rows.

The champion is scored as it is served: with the token limit, batch size and cleaning of its own package's spec, on this run's
device. One thing cannot be made up for: rows that `prepare` has cleaned stay clean for a champion that is served without
cleaning (`prepare.fix_encoding: false`), because the raw text is not at hand here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ftcore.records import DataRef, Evaluation, ModelRef, PreparedDataset, Record, TrainingRun
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store


def run(spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store) -> Evaluation:
    """Writes predictions/<role>.jsonl, tables.json and the candidate's monitoring reference. Refuses an empty split.

    Raises:
        IntegrityError: A model or the champion's spec fails its checks, or a model answers with NaN or infinity.
        BaseModelError: The base model of the nearest-centroid baseline cannot be loaded.
    """
    from ftcore.data.reading import read_jsonl
    from ftcore.evaluation import scoring
    from ftcore.models.devices import choose
    from ftcore.registry.package import package_spec

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
    )
    empty = [name for name, part in (("training", train), ("test", test)) if not part]
    if empty:
        return replace(record, refused=tuple(f"The {name} split is empty: nothing can be measured." for name in empty))
    device = choose(spec.compute)
    device.prepare()
    scoring.say(f"{len(test):,} holdout rows, {device.device} {device.precision}")
    found = scoring.classify(store.resolve(training.uri) / "model", training.model_digest, test, spec, device)
    answers = {"candidate": scoring.answers_of(found, training.model_digest)}
    if champion is not None:
        scoring.say(f"champion {champion.model_digest[:12]}")
        package = store.resolve(champion.uri)
        served = package_spec(package)
        rows_served = _cleaned(test) if served.prepare.fix_encoding else test
        theirs = scoring.classify(package / "model", champion.model_digest, rows_served, served, device)
        answers["champion"] = scoring.answers_of(theirs, champion.model_digest)
    for name in spec.evaluation.baselines:
        scoring.say(f"baseline {name}")
        answers[name] = scoring.baseline_answers(name, train, test, spec, device)
    slices = spec.evaluation.slices
    holdout = scoring.gather_holdout(test, answers, slices)
    scoring.write_predictions(output.path, test, answers, slices)
    scoring.write_tables(output.path, holdout)
    scoring.write_reference(output.path, test, found)
    return replace(record, models=scoring.score_all(holdout, answers))


def _cleaned(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as a server that cleans would see them; clean ones stay as they are."""
    from ftcore.data.cleaning import clean_text

    return [{**row, "text": clean_text(row["text"])} for row in rows]
