"""What a model that generates text is asked beside the holdout."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ftcore.spec.base import Section

SHIPPED = "shipped"
"""In place of a file's path: the one that comes with ftcore."""


class ProbesSpec(Section):
    """What candidate and champion are asked beside the holdout (docs/probes.md). It informs; canaries decide, and what
    `gate.probe_guards` names."""

    groundedness: bool = True
    """Numbers, dates, names and word triples of an answer that its prompt does not have. Costs no further answers."""
    safety: str | None = SHIPPED
    """Prompts to refuse, to answer, and that could turn nasty: `shipped` (English), or your own YAML file. Null: off."""
    general_text: str | None = SHIPPED
    """Forgetting: loss per byte of the base model, candidate and champion on `shipped` text (English) or your own file,
    paragraphs between empty lines. Null: off. Decoders only; files are relative to the project folder."""
    samples: Annotated[int, Field(ge=0, le=32)] = 0
    """Self-consistency: answers drawn per row. 0: off, as each costs as much as a greedy one."""
    sampled_rows: Annotated[int, Field(ge=2)] = 50
    """Holdout rows that answers are drawn for; with fewer rows all."""
    temperature: Annotated[float, Field(gt=0.0, le=2.0)] = 0.7
    """Of the drawn answers: 1 draws as the model believes, less keeps to what is likely."""
    canaries: str | None = None
    """JSONL file of made-up secrets that you have put into the training data; one that comes back is one too many."""
    max_canaries: Annotated[int, Field(ge=0)] = 0
    """Secrets of `canaries` that may come back before the gate says FAIL."""

    @model_validator(mode="after")
    def _samples_make_pairs(self) -> ProbesSpec:
        if self.samples == 1:
            raise ValueError("samples: saw 1, wanted 0 (off) or 2 and more: answers are compared with each other")
        if self.max_canaries and self.canaries is None:
            raise ValueError("max_canaries has no effect without canaries, the file of secrets")
        return self
