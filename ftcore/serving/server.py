"""Runs the app under uvicorn: one process, or several that share the port."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence

import uvicorn
from fastapi import FastAPI

from ftcore.errors import UsageError
from ftcore.serving.app import create_app

SPECS_VARIABLE = "FTCORE_SERVE_SPECS"
"""How worker processes learn the names: they import this module afresh."""

SHUTDOWN_S = 20
"""Time for open requests to end after SIGTERM."""


def serve_forever(specs: Sequence[str], *, host: str, port: int, workers: int) -> None:
    """Serve until SIGTERM or SIGINT; open requests are answered first.

    Raises:
        UsageError: The port is taken or the address is not this machine's.
    """
    check_port(host, port)
    os.environ[SPECS_VARIABLE] = ",".join(specs)
    uvicorn.run(
        "ftcore.serving.server:app_from_environment", factory=True, host=host, port=port, workers=workers,
        log_level="warning", timeout_graceful_shutdown=SHUTDOWN_S, limit_concurrency=512, server_header=False,
    )  # fmt: skip


def app_from_environment() -> FastAPI:
    """The app of one worker process."""
    return create_app([name for name in os.environ.get(SPECS_VARIABLE, "").split(",") if name])


def check_port(host: str, port: int) -> None:
    """Fail before any model is loaded if the server could not listen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            message = f"Cannot listen on {host}:{port} ({error.strerror})."
            raise UsageError(message, hint=f"ftcore serve SPEC --port {port + 1 if port < 65535 else 8008}") from None
