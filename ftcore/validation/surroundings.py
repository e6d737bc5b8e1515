"""What an expectation may need beyond its own split: handed over beside the suite, so that suites stay pure JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ftcore.models.base import resolve_base
from ftcore.spec import FineTuneSpec
from ftcore.validation.profiles import read_profile
from ftcore.validation.suites import Suite


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
    max_leaked: float | None = None
    """Share of rows that may have leaked (`leakage.max_leaked`)."""
    released: frozenset[str] = frozenset()
    """Ids of rows that a person has released: no expectation sets them aside."""
    personal_kinds: tuple[str, ...] | None = None
    """What counts as personal data (`prepare.personal_kinds`)."""
    phone_regions: tuple[str, ...] | None = None
    """Countries whose phone numbers are known without a leading + (`prepare.phone_regions`)."""
    folder: Path | None = None
    """Where relative paths in a suite (word lists) start: the project folder."""
    split: str = ""
    """The split being judged; set by the runner."""

    def of_split(self, split: str) -> Surroundings:
        return replace(self, split=split)


def surroundings_of(spec: FineTuneSpec, suite: Suite) -> Surroundings:
    """What the spec says that expectations may need. The base model is looked for only if the suite needs its tokenizer.

    Raises:
        BaseModelError: A tokenizer is needed and the base model is missing.
        UsageError: `validation.accepted` names no readable profile.
    """
    accepted = spec.validation.accepted
    return Surroundings(
        task=spec.task,
        tokenizer=resolve_base(spec.base_model, spec.root).path if suite.needs_tokenizer else None,
        max_length=spec.training.max_length,
        accepted=read_profile(spec.at(accepted)) if accepted else None,
        max_leaked=spec.leakage.max_leaked,
        personal_kinds=tuple(spec.prepare.personal_kinds),
        phone_regions=tuple(spec.prepare.phone_regions),
        folder=spec.root,
    )


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
