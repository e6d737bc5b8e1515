"""What the checks before training found, one line each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ftcore.errors import BaseModelError, DataRefused, FtcoreError, UsageError

Verdict = Literal["ok", "doubt", "fault"]

_ERRORS: dict[str, type[FtcoreError]] = {
    "labels": DataRefused, "answers": DataRefused, "stop": BaseModelError, "round trip": BaseModelError,
    "texts": DataRefused, "ratings": DataRefused, "teacher": BaseModelError,
    "padding": BaseModelError, "embeddings": BaseModelError, "packing": UsageError, "memory": UsageError,
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One check."""

    check: str
    """What was looked at, a key of the table above."""
    verdict: Verdict
    """A fault ends the run before any epoch; a doubt is told of."""
    message: str
    hint: str = ""


def refuse_faults(findings: Sequence[Finding]) -> None:
    """Raise if there is a fault: all of them in one error, of the kind that fits the first.

    Raises:
        DataRefused: The rows cannot teach what they should.
        BaseModelError: Tokenizer, template and model do not fit each other.
        UsageError: A setting does not fit the machine or the model.
    """
    faults = [finding for finding in findings if finding.verdict == "fault"]
    if not faults:
        return
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    hints = [finding.hint for finding in faults if finding.hint]
    raise _ERRORS[faults[0].check](
        f"The checks before training found {count}; nothing was trained.",
        details=[f"{finding.check}: {finding.message}" for finding in faults],
        hint="; ".join(dict.fromkeys(hints)),
    )
