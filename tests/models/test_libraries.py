"""The big libraries are imported once, with the collector at rest, and left out of later collections."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, sys
from ftcore.models.libraries import import_libraries
before = gc.get_stats()[0]["collections"]
import_libraries()
print(gc.get_stats()[0]["collections"] - before, gc.isenabled(), gc.get_freeze_count() > 100_000, "peft" in sys.modules)
frozen, later = gc.get_freeze_count(), [[] for _ in range(100)]
import_libraries()
print(gc.get_freeze_count() == frozen)
"""


def test_imports_without_collecting_and_freezes_once() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["0", "True", "True", "True", "True"]
