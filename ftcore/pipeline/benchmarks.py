"""Benchmarks of a spec's models: which model, where the scores go."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from ftcore.errors import FtcoreError, UsageError
from ftcore.evaluation.benchmarks import Asked, benchmark
from ftcore.ledger import GATE_DECISION, Ledger
from ftcore.models.devices import choose
from ftcore.records import canonical_json, digest_of
from ftcore.registry import tracking
from ftcore.spec import FineTuneSpec
from ftcore.store import MANIFEST, Manifest, Store, write_durable

_MIN_DIGEST = 6


def run_benchmark(spec: FineTuneSpec, ledger: Ledger, store: Store, model: str, asked: Asked) -> dict[str, Any]:
    """Measure one model, write the scores below `benchmarks/` of the store, and log them into the model's run.

    Args:
        model: champion, candidate (of the newest decision), or a model digest or its beginning (6 characters or more).

    Returns:
        What `benchmark` returns, with `spec`, `file` and `mlflow`: null, or why the scores are not in MLflow.

    Raises:
        UsageError: There is no such model; and as `benchmark`.
        IntegrityError, DataUnreachable: As `benchmark`.
    """
    folder, digest = find_model(spec.name, ledger, store, model)
    device = choose(spec.compute)
    device.prepare()
    found = benchmark(folder, digest, asked, device, spec.evaluation.batch_size)
    told = {"spec": spec.name, **found}
    name = digest_of({"tasks": sorted(asked.tasks), "limit": asked.limit, "chat": asked.chat})[:12]
    path = store.root / "benchmarks" / digest[:16] / f"{name}.json"
    write_durable(path, canonical_json(told))
    return {**told, "file": str(path), "mlflow": _log(spec.name, digest, found, path)}


def find_model(spec_name: str, ledger: Ledger, store: Store, model: str) -> tuple[Path, str]:
    """Folder and digest of a model that the store has.

    Raises:
        UsageError: There is none, or more than one begins like this.
    """
    packages = {item.model_digest: store.resolve(item.package_uri) / "model" for item in ledger.history(spec_name)}
    if model == "champion":
        head = ledger.head(spec_name)
        if head is None:
            raise UsageError(f"{spec_name} has no champion yet.", hint="--model candidate")
        return packages[head.model_digest], head.model_digest
    wanted = model
    if model == "candidate":
        decisions = ledger.events(spec_name, (GATE_DECISION,), limit=1, newest_first=True)
        newest = next(iter(decisions), None)
        if newest is None:
            raise UsageError(f"Nothing was decided on {spec_name} yet.", hint="ftcore run SPEC --to judge")
        wanted = str(newest.payload["candidate"])
    elif len(model) < _MIN_DIGEST:
        raise UsageError(f"{model!r} is no model; wanted champion, candidate or {_MIN_DIGEST} characters of a digest.")
    found = {digest: folder for digest, folder in {**_trained(store), **packages}.items() if digest.startswith(wanted)}
    if len(found) != 1:
        raise UsageError(f"{len(found)} models in {store.root} begin with {wanted[:12]}; wanted one.")
    [(digest, folder)] = found.items()
    return folder, digest


def _trained(store: Store) -> dict[str, Path]:
    """Every model that training has left, by digest."""
    found = {}
    for path in (store.root / "stages" / "train").glob(f"*/model/{MANIFEST}"):
        with contextlib.suppress(FtcoreError):  # damaged: it is no candidate for anything
            found[Manifest.read(path.parent).digest] = path.parent
    return found


def _log(spec_name: str, digest: str, found: dict[str, Any], path: Path) -> str | None:
    """Into the run of the model, where MLflow is set up. None: done; else why not."""
    if not tracking.is_set_up():
        return "MLflow is not set up yet"
    metrics = {}
    for line in found["results"]:
        name = f"benchmark.{line['task']}.{line['metric']}" + ("" if line["filter"] == "none" else f".{line['filter']}")
        metrics[name] = line["value"]
        if line["stderr"] is not None:
            metrics[f"{name}.stderr"] = line["stderr"]
    try:
        client = tracking.connect()
        with tracking.mlflow_errors():
            run = tracking.find_or_create_run(client, spec_name, digest)
            tracking.write_run(client, run, {}, metrics, {"ftcore.lm_eval": found["lm_eval"]})
            tracking.upload_folder(client, run, path.parent, "benchmarks")
    except FtcoreError as error:
        return error.message
    return None
