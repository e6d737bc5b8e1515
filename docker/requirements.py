"""Print what ftcore depends on, one requirement a line: the image installs this before it copies the code.

So a change of code does not install every dependency again. Usage: requirements.py EXTRA[,EXTRA...] < pyproject.toml
"""

from __future__ import annotations

import sys
import tomllib


def requirements(project: dict[str, object], extras: list[str]) -> list[str]:
    """Dependencies of `[project]` and of the extras named.

    Raises:
        SystemExit: An extra that pyproject.toml does not have.
    """
    optional = project["optional-dependencies"]
    assert isinstance(optional, dict) and isinstance(project["dependencies"], list)
    unknown = sorted(set(extras) - set(optional))
    if unknown:
        raise SystemExit(f"no extra {', '.join(unknown)} in pyproject.toml; it has {', '.join(sorted(optional))}")
    return [*project["dependencies"], *(line for extra in extras for line in optional[extra])]


if __name__ == "__main__":
    chosen = [name for name in sys.argv[1].split(",") if name]
    print("\n".join(requirements(tomllib.loads(sys.stdin.read())["project"], chosen)))
