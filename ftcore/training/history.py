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


@dataclass(frozen=True)
class OutOfMemory:
    """A forward or backward pass that did not fit; training went on from the last checkpoint with fewer rows per pass."""

    step: int
    """The optimiser step it was part of."""
    rows: int
    """Rows per forward pass."""


@dataclass
class History:
    """The curves of one run. Lists hold one value per optimiser step, from step 1 on."""

    loss: list[float] = field(default_factory=list)
    """Mean training loss of the step's batch, with dropout."""
    grad_norm: list[float] = field(default_factory=list)
    """Euclidean norm of the gradient before clipping."""
    learning_rate: list[float] = field(default_factory=list)
    validations: list[Validation] = field(default_factory=list)
    out_of_memory: list[OutOfMemory] = field(default_factory=list)

    def steps_to_keep(self, final_weights: str, average_checkpoints: int) -> list[int]:
        """Validated steps whose weights the candidate is made of: the best, or last, first.

        Args:
            final_weights: `best` (lowest validation loss; of equals the earliest) or `last`.
            average_checkpoints: How many.
        """
        if final_weights == "best":
            ranked = sorted(self.validations, key=lambda validation: (validation.loss, validation.step))
        else:
            ranked = sorted(self.validations, key=lambda validation: -validation.step)
        return [validation.step for validation in ranked[: max(1, average_checkpoints)]]

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
        out_of_memory = [OutOfMemory(**item) for item in data.pop("out_of_memory", [])]
        return cls(**data, validations=validations, out_of_memory=out_of_memory)
