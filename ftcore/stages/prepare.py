"""prepare: what a model trains on and is judged on, with everything set aside accounted for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

from ftcore.records import (
    DataRef,
    DatasetVersion,
    PreparedDataset,
    Record,
    Released,
    ValidationReport,
    canonical_json,
    digest_of,
)
from ftcore.spec import FineTuneSpec
from ftcore.store import Output, Store, file_sha256, write_durable


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> PreparedDataset:
    """Writes train, validation and test.jsonl, labels.json, quarantine.jsonl and tokens.json (token counts by split), and for
    people personal.jsonl (rows with personal data, by kind), bias.json, and label_review.jsonl with label_audit.json. Phases of
    the method that read more get texts.jsonl and preferences.jsonl.

    Raises:
        DataRefused: Files that cannot be read as rows.
        UsageError: The synonyms file is missing or faulty, or Presidio or its model is asked for and missing.
        BaseModelError: The base model or its tokenizer is missing, or a chat template that the task needs.
    """
    from ftcore.data.augmenting import augment_train, read_synonyms
    from ftcore.data.bias import bias_report
    from ftcore.data.faults import RowFault
    from ftcore.data.label_errors import audit_labels
    from ftcore.data.preparing import holdout_identity, prepare_splits
    from ftcore.data.reading import read_splits, write_jsonl
    from ftcore.data.rows import released_ids
    from ftcore.data.tokens import token_report
    from ftcore.models.base import resolve_base

    find_more = None
    if spec.prepare.personal_engine == "presidio":
        from ftcore.data.personal.presidio import presidio_finder

        find_more = presidio_finder(spec.prepare.presidio, spec.root)
    dataset = cast(DatasetVersion, inputs["ingest"])
    malformed: list[RowFault] = []
    raw = read_splits(store.resolve(dataset.uri) / "files", spec.data, task=spec.task, set_aside=malformed)
    validated = cast(ValidationReport, inputs["validate"])
    unfit = json.loads((store.resolve(validated.uri) / "set_aside.json").read_text(encoding="utf-8"))
    released = cast(Released | None, inputs.get("released"))
    free = released_ids(raw.values(), frozenset(released.rows if released else ()))
    embed = None
    if spec.leakage.paraphrases == "leak":
        from ftcore.models.embeddings import embedder_of

        embed = embedder_of(spec)
    prepared = prepare_splits(
        raw, spec.prepare, spec.leakage, spec.validation, malformed, unfit, free, embed, find_more
    )
    # Audits look at the rows people wrote, before more are made out of them.
    bias = bias_report([row for rows in prepared.splits.values() for row in rows], spec.prepare.bias)
    audit = audit_labels(prepared.splits, spec.prepare.label_audit)
    settings = spec.prepare.augment
    augmented = augment_train(
        prepared.splits["train"],
        [*prepared.splits["validation"], *prepared.splits["test"]],
        settings,
        spec.leakage,
        read_synonyms(spec.at(settings.synonyms)) if settings.synonyms else None,
        embed,
    )
    prepared.splits["train"] += augmented.rows
    for split, rows in prepared.splits.items():
        write_jsonl(output.path / f"{split}.jsonl", rows)
    write_durable(output.path / "labels.json", canonical_json(prepared.labels))
    write_jsonl(output.path / "personal.jsonl", prepared.personal)
    write_durable(output.path / "bias.json", canonical_json(bias.to_dict()))
    write_jsonl(output.path / "label_review.jsonl", audit.queue())
    write_durable(output.path / "label_audit.json", canonical_json(audit.summary()))
    tokens, unwritable = token_report(
        prepared.splits,
        spec.task,
        resolve_base(spec.base_model, spec.root).path,
        spec.training.max_length,
        spec.training.batch_size,
    )
    write_durable(output.path / "tokens.json", canonical_json(tokens))
    names = [*(f"{split}.jsonl" for split in prepared.splits), "labels.json"]
    if spec.method.adapt or spec.method.prefer:
        from ftcore.data.extras import read_extras

        extras = read_extras(spec, store.resolve(dataset.uri) / "files", prepared.splits, find_more)
        prepared.quarantine += extras.left_out
        prepared.refused += extras.refused
        for name, more in (("texts.jsonl", extras.texts), ("preferences.jsonl", extras.preferences)):
            if more is not None:
                write_jsonl(output.path / name, more)
                names.append(name)
    write_jsonl(output.path / "quarantine.jsonl", prepared.quarantine)
    files = {name: file_sha256(output.path / name) for name in names}
    return PreparedDataset(
        uri=output.uri,
        content_digest=digest_of(files),
        train_digest=digest_of({name: sha256 for name, sha256 in files.items() if name != "test.jsonl"}),
        labels=tuple(prepared.labels),
        num_rows={split: len(rows) for split, rows in prepared.splits.items()},
        num_quarantined=prepared.num_quarantined,
        num_personal=prepared.num_personal,
        num_label_suspects=audit.num_suspects,
        num_augmented=augmented.num_made,
        num_augmented_dropped=augmented.num_dropped,
        num_bias_gaps=bias.num_gaps,
        num_tokens={name: value for name, value in tokens["train"].items() if isinstance(value, float)},
        test_digest=holdout_identity(prepared.splits["test"]),
        refused=(*prepared.refused, *unwritable),
    )
