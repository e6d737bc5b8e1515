"""The spec's own data may move on after feedback has joined it: the next version takes that over.

A small file beside the data repository says which state was taken over last. It is only a memory: without it, or after a crash,
the comparison is made again.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from ftcore.data.versions import DataRepository, own_data, pull, resolve_rev
from ftcore.errors import DataUnavailable
from ftcore.records import DatasetVersion, canonical_json
from ftcore.spec import FineTuneSpec
from ftcore.store import Manifest, write_durable

FEEDBACK_FILES = "feedback-*.jsonl"


def follow_own_data(
    spec: FineTuneSpec, repository: DataRepository, trained_on: DatasetVersion, current: Path
) -> str | None:
    """Publish the spec's own data anew, with the feedback so far, if its rows differ from those taken over last.

    Own data that cannot be reached is no reason to lose feedback: it is looked at again next time.

    Args:
        repository: Seeded.
        trained_on: What a repository without a memory was seeded with.
        current: Folder with the repository's newest version; brought up to date.

    Returns:
        The revision taken over, or None if there was nothing new.
    """
    place = repository.root.with_name(f"{repository.root.name}-upstream.json")
    seen = _seen(place) or {"rev": trained_on.rev, "digest": trained_on.manifest_digest}
    upstream = own_data(spec)
    try:
        rev = resolve_rev(upstream)
        if rev == seen["rev"]:
            return None
        with tempfile.TemporaryDirectory(prefix="ftcore-upstream-") as temporary:
            own = Path(temporary) / "data"
            pull(upstream, own)
            digest = Manifest.of(own).digest
            ref = None
            if digest != seen["digest"]:
                ref = repository.replace(own, FEEDBACK_FILES, f"The spec's own data at {rev[:12]}")
    except DataUnavailable:
        return None
    write_durable(place, canonical_json({"rev": rev, "digest": digest}))
    if ref is None:
        return None
    shutil.rmtree(current)
    pull(ref, current)
    return rev


def _seen(place: Path) -> dict[str, str] | None:
    try:
        seen: dict[str, str] = json.loads(place.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return seen if {"rev", "digest"} <= seen.keys() else None
