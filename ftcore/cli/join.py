"""`ftcore join`: help another machine to train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def join(
    rank: Annotated[int, typer.Option(envvar="FTCORE_NODE_RANK", help="Of this machine: 1, 2, …; 0 runs the stage.")],
    address: Annotated[
        str, typer.Option(envvar="FTCORE_MAIN_ADDRESS", help="Of the machine that runs the stage, as host:port.")
    ],
    folder: Annotated[
        Path | None, typer.Option(help="Where the first machine keeps checkpoints; default: FTCORE_HOME/scratch.")
    ] = None,
    trainings: Annotated[int | None, typer.Option(help="End after so many trainings; default: go on for ever.")] = None,
) -> None:
    """Take part in trainings with `compute.nodes` above 1. FTCORE_HOME is shared between the machines, at the same path.

    A phase of the method and an attempt after memory ran out count as a training each.
    """
    from ftcore.store import ftcore_home, make_folder
    from ftcore.training.launch import parse_address
    from ftcore.training.nodes import join as take_part

    host, port = parse_address(address)
    scratch = folder or ftcore_home() / "scratch"
    if folder is None:
        make_folder(scratch)
    take_part(scratch, rank, host, port, trainings=trainings)
