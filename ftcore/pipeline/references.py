"""What a stage is about, by the ledger: a data version, the champion, the model before it, weights to start from, a teacher."""

from __future__ import annotations

from ftcore.ledger import Ledger
from ftcore.records import DataRef, ModelRef, PreparedDataset
from ftcore.spec import FineTuneSpec
from ftcore.store import Store


def data_ref(spec: FineTuneSpec, ledger: Ledger, rev: str | None = None) -> DataRef:
    """Which data version to train on: the one asked for, else the newest accepted from feedback, else the spec's own."""
    from ftcore.data.versions import own_data

    newest = ledger.current_data(spec.name) if rev is None and spec.data.follow_feedback else None
    return newest or own_data(spec, rev)


def champion_ref(spec: FineTuneSpec, ledger: Ledger, candidate_digest: str) -> ModelRef | None:
    """The model that a candidate is compared with.

    A candidate that already is the champion is compared with the one it replaced, so that running a finished pipeline
    again finds every output of the first time.
    """
    head = ledger.head(spec.name)
    if head is None:
        return None
    if head.model_digest != candidate_digest:
        return ModelRef(model_digest=head.model_digest, uri=head.package_uri, seq=head.seq)
    before = [item for item in ledger.history(spec.name) if item.seq < head.seq]
    if not before:
        return None
    last = max(before, key=lambda item: item.seq)
    return ModelRef(model_digest=last.model_digest, uri=last.package_uri, seq=last.seq)


def previous_champion_ref(spec: FineTuneSpec, ledger: Ledger, candidate_digest: str) -> ModelRef | None:
    """The model that the champion replaced when it was promoted; None: none, or it was rolled back since.

    As with `champion_ref`, a candidate that already is the champion counts as not promoted yet.
    """
    from ftcore.registry.champions import champions

    champion = champion_ref(spec, ledger, candidate_digest)
    stack = champions(ledger, spec.name).stack
    if stack and stack[-1].model_digest == candidate_digest:
        stack = stack[:-1]
    if champion is None or not stack or stack[-1].model_digest != champion.model_digest:
        return None
    before = [item for item in stack[:-1] if item.model_digest != champion.model_digest]
    if not before:
        return None
    return ModelRef(model_digest=before[-1].model_digest, uri=before[-1].package_uri, seq=before[-1].seq)


def start_ref(spec: FineTuneSpec, ledger: Ledger, store: Store, prepared: PreparedDataset) -> ModelRef | None:
    """The champion whose weights training starts from; None: the base model's.

    A champion that was made from these very rows is no start but the result: its own start is given again, so that running
    a finished pipeline again finds every output of the first time.

    Raises:
        IntegrityError: The champion's lineage is missing or damaged.
    """
    head = ledger.head(spec.name) if spec.method.start_from == "champion" else None
    if head is None:
        return None
    from ftcore.registry.package import package_uri, read_lineage

    digest: str | None = head.model_digest
    made = read_lineage(store.resolve(head.package_uri))
    if made["records"]["train"]["data_digest"] == prepared.train_digest:
        digest = made.get("started_from")
    return ModelRef(model_digest=digest, uri=package_uri(digest), seq=0) if digest else None


def teacher_ref(spec: FineTuneSpec, ledger: Ledger, store: Store) -> ModelRef | None:
    """The model that `method.distill.teacher: champion` names; None: there is no champion.

    A champion that is a student itself has its own teacher named, so that running a finished pipeline again finds every output
    of the first time, and students do not learn from students.

    Raises:
        IntegrityError: The champion's lineage is missing or damaged.
    """
    head = ledger.head(spec.name)
    if head is None:
        return None
    from ftcore.registry.package import package_uri, read_lineage

    made = read_lineage(store.resolve(head.package_uri))
    digest = made["records"]["train"].get("taught_by") or head.model_digest
    return ModelRef(model_digest=digest, uri=package_uri(digest), seq=0)
