"""`ftcore serve SPEC …`: the champions over HTTP, on the loopback interface unless told otherwise."""

from __future__ import annotations

from typing import Annotated

import typer

from ftcore.cli._names import spec_name
from ftcore.errors import UsageError


def serve(
    specs: Annotated[list[str] | None, typer.Argument(metavar="SPEC…", help="Names of specs, or their files.")] = None,
    all_specs: Annotated[bool, typer.Option("--all", help="Serve every spec that has or gets a champion.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on. There is no login: keep it private.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8008,
    workers: Annotated[
        int, typer.Option(help="Processes; each holds the models and logs to segments of its own.", min=1)
    ] = 1,
) -> None:
    """Serve champions: POST /v1/SPEC/predict, POST /v1/SPEC/feedback, GET /v1/SPEC/version, GET /health, /docs."""
    names = [spec_name(spec) for spec in specs or ()]
    if bool(names) == all_specs:
        raise UsageError("Wanted either names of specs or --all.", hint="ftcore serve support_intents")
    from ftcore.serving.server import serve_forever

    serve_forever(names, host=host, port=port, workers=workers)
