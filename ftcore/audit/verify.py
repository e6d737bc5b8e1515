"""Check everything that the claim "this is in production, and this is why" rests on. Lists every fault, stops at none."""

from __future__ import annotations

import functools
import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ftcore.errors import DataUnavailable, FtcoreError, IntegrityError, StorageError
from ftcore.ledger import ChainReport, Ledger
from ftcore.records import DataRef, canonical_json
from ftcore.registry.package import package_uri, read_lineage, verify_package
from ftcore.store import Manifest, Store, write_durable

LAST_VERIFIED = "audit/last_verified.json"
"""The newest event that a verification found in order, relative to the store's root: the next one must find it again. It is no
safer than FTCORE_HOME itself; a hash kept on another machine (`known_hash`) is."""


@dataclass(frozen=True)
class Check:
    """One kind of thing that was checked."""

    name: str
    """`chain`, `packages`, `data versions` or `alias`."""
    checked: int
    """How many of them."""
    faults: tuple[str, ...]


@dataclass(frozen=True)
class AuditReport:
    """All checks, and the hash of the newest event: kept elsewhere, it shows later whether events were cut off the end."""

    checks: tuple[Check, ...]
    last_hash: str

    @property
    def faults(self) -> tuple[str, ...]:
        return tuple(f"{check.name}: {fault}" for check in self.checks for fault in check.faults)

    def to_dict(self) -> dict[str, Any]:
        checks = [{"name": c.name, "checked": c.checked, "faults": list(c.faults)} for c in self.checks]
        return {"ok": not self.faults, "last_hash": self.last_hash, "checks": checks}


def verify(ledger: Ledger, store: Store, known_hash: str | None = None, *, pull_data: bool = True) -> AuditReport:
    """Verify the chain, the packages, the data versions and MLflow's alias; remember the chain's end for the next time.

    Args:
        known_hash: Hash of an event seen earlier; a fault if the chain does not hold it any more.
        pull_data: Pull the data version of each champion of now and compare it with what was recorded, which costs as much
            time and disk as `ingest`; False: only ask whether it is there, as for all others.
    """
    chain = ledger.verify()
    faults = [*chain.faults, *_faults_of_anchor(ledger, store)]
    if known_hash is not None and not ledger.has_hash(known_hash):
        faults.append(f"the event with hash {known_hash[:12]} is gone: events were cut off or replaced")
    if not faults:
        faults = _remember(chain, store)
    checks = [Check("chain", chain.num_events, tuple(faults))]
    data_versions = functools.partial(_data_versions, pull_data=pull_data)
    for name, steps in (("packages", _packages), ("data versions", data_versions), ("alias", _aliases)):
        checks.append(_run(name, steps(ledger, store)))
    return AuditReport(tuple(checks), chain.last_hash)


def _faults_of_anchor(ledger: Ledger, store: Store) -> list[str]:
    """Whether the chain still holds the event that the last verification ended with."""
    file = store.root / LAST_VERIFIED
    try:
        seen = json.loads(file.read_text(encoding="utf-8"))
        seq, known = int(seen["seq"]), str(seen["hash"])
    except FileNotFoundError:
        return []  # the first verification
    except (ValueError, KeyError, TypeError):
        return [f"{file} cannot be read, so nothing shows that no event was cut off"]
    if ledger.has_hash(known):
        return []
    gone = f"event {seq} ({known[:12]}), verified before, is gone: events were cut off or replaced"
    return [f"{gone} (if the ledger was put back to a backup on purpose, delete {file})"]


def _remember(chain: ChainReport, store: Store) -> list[str]:
    if not chain.num_events:
        return []
    try:
        write_durable(store.root / LAST_VERIFIED, canonical_json({"seq": chain.num_events, "hash": chain.last_hash}))
    except StorageError as error:
        return [f"its end cannot be remembered: {error.message}"]
    return []


def _run(name: str, outcomes: Iterator[str]) -> Check:
    """Collect one fault (or an empty string) per thing checked."""
    seen: list[str] = []
    try:
        seen.extend(outcomes)
    except IntegrityError as error:  # a broken event: the chain's own check names it, this one cannot go on
        seen.append(f"cannot be checked: {error.message}")
    return Check(name, len(seen), tuple(fault for fault in seen if fault))


def _packages(ledger: Ledger, store: Store) -> Iterator[str]:
    """Every package that the ledger names or that lies in the store; the fault, or an empty string."""
    folder = store.root / "packages"
    on_disk = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    for digest in sorted(on_disk | set(_promoted(ledger))):
        yield _fault_of_package(store, digest)


def _fault_of_package(store: Store, digest: str) -> str:
    try:
        verify_package(store.root / package_uri(digest))
    except IntegrityError as error:
        return f"{digest[:12]}: {'; '.join(error.details) or error.message}"
    return ""


def _promoted(ledger: Ledger) -> dict[str, str]:
    """Model digest -> spec of everything that ever became champion."""
    events = ledger.events(kinds=("promotion_committed",))
    return {str(event.payload.get("model_digest")): event.spec for event in events}


@dataclass(frozen=True)
class _DataVersion:
    """One data version that the ledger or a champion's lineage names."""

    ref: DataRef
    spec: str
    kept: str = ""
    """Where the store keeps the files as they arrived."""
    pulled_digest: str | None = None
    """What its files must amount to when they are pulled; None: it is enough that the version is there."""


def _data_versions(ledger: Ledger, store: Store, *, pull_data: bool) -> Iterator[str]:
    """Every data version that feedback recorded, and every one that a champion was trained on."""
    seen: dict[tuple[str | None, str, str], _DataVersion] = {}

    def add(data: Mapping[str, Any], spec: str, kept: str = "", pulled_digest: str | None = None) -> None:
        ref = DataRef(
            repo=data.get("repo"), rev=str(data.get("rev")), path=str(data.get("path")), remote=data.get("remote")
        )
        seen[(ref.repo, ref.rev, ref.path)] = _DataVersion(ref, spec, kept, pulled_digest)

    for event in ledger.events(kinds=("data_version",)):
        add(event.payload.get("data", {}), event.spec)
    champions = {head.model_digest for head in ledger.heads()}
    for digest, spec in sorted(_promoted(ledger).items(), key=lambda item: item[0] in champions):
        try:
            record = read_lineage(store.root / package_uri(digest))["records"]["ingest"]
        except IntegrityError:
            continue  # named by the check of packages
        is_pulled = pull_data and digest in champions and record["repo"] is not None
        add(record, spec, record["uri"], record["manifest_digest"] if is_pulled else None)
    for version in seen.values():
        yield _fault_of_data(version, store)


def _fault_of_data(version: _DataVersion, store: Store) -> str:
    try:
        _check_data(version, store)
        return ""
    except FtcoreError as error:
        reason, state = error.message, "cannot be reached"
        if error.transient or isinstance(error, StorageError):
            state = "could not be checked"
        elif isinstance(error, IntegrityError):
            state = "is damaged"
    if version.kept and _is_intact(store, version.kept):
        if version.pulled_digest is None:
            return ""  # the origin is gone, but the bytes as they arrived are kept
        reason += f" An intact copy is kept in {store.resolve(version.kept) / 'files'}"
    return f"version {version.ref.rev[:12]} of {version.spec} {state}: {reason}"


def _check_data(version: _DataVersion, store: Store) -> None:
    from ftcore.data.versions import pull, resolve_rev

    if version.pulled_digest is None:
        if resolve_rev(version.ref) != version.ref.rev:
            raise DataUnavailable(f"The folder {version.ref.path} has changed since.")
        return
    target = store.root / "tmp" / f"audit-{uuid.uuid4().hex[:8]}"
    try:
        pull(version.ref, target)
        if Manifest.of(target).digest != version.pulled_digest:
            raise IntegrityError("Its files are not those that were recorded.")
    finally:
        shutil.rmtree(target, ignore_errors=True)


def _is_intact(store: Store, uri: str) -> bool:
    folder = store.resolve(uri)
    try:
        Manifest.read(folder).verify(folder)
    except IntegrityError:
        return False
    return True


def _aliases(ledger: Ledger, store: Store) -> Iterator[str]:
    """Every champion against MLflow's alias. MLflow not answering is a fault: what was not checked is not verified."""
    from ftcore.registry import tracking, versions

    heads = ledger.heads()
    if not heads:
        return
    try:
        client = tracking.connect()
        with tracking.mlflow_errors():
            shown = {head.spec: versions.shown_champion(client, head.spec) for head in heads}
    except FtcoreError as error:
        yield error.message
        return
    for head in heads:
        champion = shown[head.spec]
        if champion is None:
            yield f"{head.spec}: MLflow shows no champion; the ledger says {head.model_digest[:12]}"
        elif champion.model_digest != head.model_digest:
            seen = (champion.model_digest or "a model not from ftcore")[:12]
            yield f"{head.spec}: MLflow shows version {champion.version} ({seen}); the ledger says {head.model_digest[:12]}"
        else:
            yield ""
