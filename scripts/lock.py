"""Write constraints.txt from the environment that runs this script: every installed package, pinned.

Run it as `make lock` after `pip install -U` of what should move and a green `make test`.
"""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

HEADER = """\
# Every package of the environment, pinned: `pip install -c constraints.txt -e .[demo,dev]`. Written by `make lock`.
# torch is pinned without a local version so that a CPU build is taken where one is offered.
# pandas stays below 3: evidently 0.7.23 does not import with it.
"""
# The packages that make up the virtual environment itself, and ftcore.
LEFT_OUT = {"pip", "setuptools", "wheel", "ftcore"}


def main() -> None:
    pins = {}
    for distribution in importlib.metadata.distributions():
        name = distribution.metadata["Name"]
        if name.lower() not in LEFT_OUT:
            pins[name.lower().replace("_", "-")] = f"{name}=={distribution.version.partition('+')[0]}"
    target = Path(__file__).parent.parent / "constraints.txt"
    target.write_text(HEADER + "\n".join(pins[key] for key in sorted(pins)) + "\n", encoding="utf-8")
    print(f"{len(pins)} packages pinned in {target}")


if __name__ == "__main__":
    main()
