"""`ftcore down`: stop the embedded stack, and only it."""

from __future__ import annotations

from ftcore.cli._output import JsonFlag, print_json, print_line, print_note
from ftcore.stack.control import down as stop_stack
from ftcore.store import ftcore_home


def down(json: JsonFlag = False) -> None:
    """Stop what `ftcore up` started under this FTCORE_HOME. Nothing is deleted."""
    home = ftcore_home()
    stopped = stop_stack(home, announce=print_note)
    if json:
        print_json({"home": str(home), "stopped": stopped})
    else:
        print_line(f"Stopped the stack under {home}." if stopped else f"No stack is running under {home}.")
