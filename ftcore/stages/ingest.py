"""ingest: pull one data version into the store, untouched."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from ftcore.records import DataRef, DatasetVersion, Record
from ftcore.spec import FineTuneSpec
from ftcore.store import Manifest, Output, Store


def run(
    spec: FineTuneSpec, inputs: Mapping[str, Record | DataRef | None], output: Output, store: Store
) -> DatasetVersion:
    """The files of `inputs["data"]` under `files/`, with the SHA-256 manifest of what arrived.

    Raises:
        DataUnavailable: Repository, revision, path or remote is missing.
        IntegrityError: Bytes arrived that are not those DVC recorded.
    """
    from ftcore.data.versions import pull

    ref = cast(DataRef, inputs["data"])
    rev = pull(ref, output.path / "files")
    manifest = Manifest.of(output.path / "files")
    return DatasetVersion(
        repo=ref.repo,
        rev=rev,
        path=ref.path,
        uri=output.uri,
        manifest_digest=manifest.digest,
        num_files=len(manifest.files),
        num_bytes=manifest.num_bytes,
        remote=ref.remote,
    )
