"""Importing the libraries that models need, which takes longer than anything else before the first step."""

from __future__ import annotations

import gc
import importlib
import sys

_LIBRARIES = ("torch", "transformers", "peft")


def import_libraries() -> None:
    """Import torch, transformers and PEFT, if they are not there yet, with the garbage collector at rest.

    They define some hundred thousand objects and throw hardly any away: walking them over and over takes an eighth of the
    import, and a fifth of a second again each time the Trainer collects garbage. So they are left out of every later walk too
    (`gc.freeze`), which a process does once.
    """
    if _LIBRARIES[-1] in sys.modules:
        return
    was_on = gc.isenabled()
    gc.disable()
    try:
        for name in _LIBRARIES:
            importlib.import_module(name)
    finally:
        if was_on:
            gc.enable()
    gc.freeze()
