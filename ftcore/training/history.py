"""What happened during a run, step by step; goes into every checkpoint, so a resumed run has one unbroken curve."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ftcore.records import canonical_json
from ftcore.store import write_durable


@dataclass(frozen=True)
class Validation:
    """One look at the validation split."""

    step: int
    epoch: float
    loss: float
    accuracy: float | None
    """Share of rows (classification) or answer tokens (instruction) that are right; None: not measured."""


@dataclass
class History:
    """The curves of one run. Lists hold one value per optimiser step, from step 1 on."""

    loss: list[float] = field(default_factory=list)
    """Mean training loss of the step's batch, with dropout."""
    grad_norm: list[float] = field(default_factory=list)
    """Euclidean norm of the gradient before clipping."""
    learning_rate: list[float] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)

    def to_json(self) -> str:
        """Canonical JSON: equal runs give equal bytes."""
        return canonical_json(asdict(self))

    def save(self, path: Path) -> None:
        """Write durably."""
        write_durable(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> History:
        """Inverse of `save`."""
        data = json.loads(path.read_text(encoding="utf-8"))
        validations = [Validation(**item) for item in data.pop("validations")]
        return cls(**data, validations=validations)
