"""What an expectation may need beyond its own split: handed over beside the suite, so that suites stay pure JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Surroundings:
    """Everything around one split. What is None is not known, and an expectation that needs it is not met."""

    task: str = "classification"
    """classification, instruction or seq2seq."""
    tokenizer: Path | None = None
    """Folder of the base model's tokenizer."""
    max_length: int | None = None
    """Tokens per row that training keeps (`training.max_length`)."""
    labels: Mapping[str, Mapping[str, int]] | None = None
    """Rows per label, by split. `run_suite` fills it in from the splits it judges."""
    accepted: Mapping[str, Any] | None = None
    """Profile of the last accepted version (`ftcore.validation.profiles`); None: there is none yet, so nothing has changed."""
    leaks: Sequence[Mapping[str, Any]] | None = None
    """Leaks found before, as {rule, test_id, train_id, score}."""
    folder: Path | None = None
    """Where relative paths in a suite (word lists) start: the project folder."""
    split: str = ""
    """The split being judged; set by the runner."""

    def of_split(self, split: str) -> Surroundings:
        return replace(self, split=split)


_NOTHING = Surroundings()
# Great Expectations builds and calls expectations itself and passes nothing through but JSON arguments.
_CURRENT: ContextVar[Surroundings] = ContextVar("surroundings", default=_NOTHING)


@contextmanager
def surrounded_by(surroundings: Surroundings) -> Iterator[None]:
    """Make `surroundings` what `current()` gives inside the block."""
    token = _CURRENT.set(surroundings)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def current() -> Surroundings:
    """The surroundings of the split that is being judged."""
    return _CURRENT.get()
