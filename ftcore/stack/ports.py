"""Ports on 127.0.0.1: the usual one when it is free, else the next free one, said and recorded."""

from __future__ import annotations

import socket
from collections.abc import Collection

from ftcore.errors import UsageError

LOOPBACK = "127.0.0.1"
_TRIES = 100


def is_free(port: int) -> bool:
    """True when a server could listen on the port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: ports in TIME_WAIT count as free
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def choose_port(preferred: int, *, asked: int | None = None, taken: Collection[int] = ()) -> int:
    """The port asked for, else `preferred`, else the next free one above it.

    Raises:
        UsageError: The port asked for is busy, or no port in reach is free.
    """
    if asked is not None:
        if asked in taken or not is_free(asked):
            raise UsageError(
                f"Port {asked} on {LOOPBACK} is in use by another program.",
                hint="leave the option out to get a free one",
            )
        return asked
    for port in range(preferred, min(preferred + _TRIES, 65_536)):
        if port not in taken and is_free(port):
            return port
    raise UsageError(f"No free port from {preferred} to {preferred + _TRIES - 1} on {LOOPBACK}.", hint="ftcore doctor")
