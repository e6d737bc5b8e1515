"""What the image installs, for the Dockerfile. Standard library only.

requirements.py extras EXTRA[,EXTRA...] PYPROJECT    ftcore's dependencies, one a line: installed before the code is
                                                     copied, so that a change of code does not install them again
requirements.py merge FIRST SECOND                   pins of both files; where both pin a package, FIRST holds
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def with_extras(pyproject: str, extras: list[str]) -> list[str]:
    """Dependencies of the project and of the extras named.

    Raises:
        SystemExit: An extra that pyproject.toml does not have.
    """
    project = tomllib.loads(pyproject)["project"]
    optional: dict[str, list[str]] = project["optional-dependencies"]
    unknown = sorted(set(extras) - set(optional))
    if unknown:
        raise SystemExit(f"no extra {', '.join(unknown)} in pyproject.toml; it has {', '.join(sorted(optional))}")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


def pins(text: str) -> dict[str, str]:
    """Package name (lower case) to its line `Name==version`; comments and blank lines left out."""
    lines = [line.strip() for line in text.splitlines()]
    return {line.partition("==")[0].lower(): line for line in lines if line and not line.startswith("#")}


def main(verb: str, first: str, second: str) -> None:
    if verb == "extras":
        lines = with_extras(Path(second).read_text(encoding="utf-8"), [name for name in first.split(",") if name])
    elif verb == "merge":
        own, common = (pins(Path(path).read_text(encoding="utf-8")) for path in (first, second))
        lines = sorted((common | own).values())
    else:
        raise SystemExit(__doc__)
    print("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
