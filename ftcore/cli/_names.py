"""Arguments that name a spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ftcore.spec import load_spec

SpecName = Annotated[str, typer.Argument(metavar="SPEC", help="Name of a spec, or its file.")]


def spec_name(text: str) -> str:
    """The name of a spec given as a name or as a file.

    Raises:
        SpecError: It is a file with faults, or looks like a file that is not there.
    """
    looks_like_file = "/" in text or Path(text).suffix in (".yaml", ".yml")
    return load_spec(text).name if looks_like_file else text
