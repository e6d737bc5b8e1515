"""Write docker/.env from docker/env.example, with a fresh random value for every secret. Standard library only.

An existing .env is never overwritten. The file is readable by its owner alone.
"""

from __future__ import annotations

import base64
import os
import re
import secrets
import sys
from pathlib import Path

HERE = Path(__file__).parent
# Hex is safe inside a URL; Airflow's Fernet key has a form of its own.
FERNET = "AIRFLOW_FERNET_KEY"
EMPTY = re.compile(r"^([A-Z0-9_]+)=$", re.MULTILINE)


def fill(example: str) -> str:
    """The example with each empty required variable filled."""
    return EMPTY.sub(lambda match: f"{match[1]}={_secret(match[1])}", example)


def _secret(name: str) -> str:
    return base64.urlsafe_b64encode(secrets.token_bytes(32)).decode() if name == FERNET else secrets.token_hex(32)


def main() -> None:
    target = HERE / ".env"
    content = fill((HERE / "env.example").read_text(encoding="utf-8"))
    try:
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{target} exists; it is left as it is. Delete it first if you want new secrets.")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(content)
    print(f"{target} written. Airflow's user and password are in it.")


if __name__ == "__main__":
    main()
