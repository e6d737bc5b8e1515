"""What all sections of a spec share."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, StringConstraints

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
Probability = Annotated[float, Field(gt=0.0, lt=1.0)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Split = Literal["train", "validation", "test"]
Task = Literal["classification", "instruction", "seq2seq"]


class Section(BaseModel):
    """Base of all sections: immutable, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


def without_unset(section: Section, write: SerializerFunctionWrapHandler, optional: tuple[str, ...]) -> dict[str, Any]:
    """A section as plain types without those optional fields that are not set: a new one changes no spec's digest and no key."""
    plain: dict[str, Any] = write(section)
    return {name: value for name, value in plain.items() if name not in optional or value is not None}
