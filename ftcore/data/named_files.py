"""Files that a spec names, as cache keys and the rules of the gate know them."""

from __future__ import annotations

from ftcore.spec import FineTuneSpec
from ftcore.store import file_sha256

MISSING = "missing"


def file_identity(spec: FineTuneSpec, name: str) -> str:
    """SHA-256 of a file that the spec names; `missing` where there is none: the stage that reads it says what to do."""
    path = spec.at(name)
    return file_sha256(path) if path.is_file() else MISSING
