"""`ftcore up`: start the embedded stack."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from ftcore.cli._output import JsonFlag, print_json, print_line, print_note
from ftcore.stack.control import status
from ftcore.stack.control import up as start_stack
from ftcore.stack.project import find_project
from ftcore.store import ftcore_home


def up(
    project: Annotated[
        Path | None, typer.Option(help="Folder that holds dags/; default: found from here upwards.")
    ] = None,
    airflow_port: Annotated[int | None, typer.Option(help="Default 8080, or the next free one.")] = None,
    mlflow_port: Annotated[int | None, typer.Option(help="Default 5000, or the next free one.")] = None,
    server_port: Annotated[int | None, typer.Option(help="Default 8008, or the next free one.")] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait until everything answers.")] = 180.0,
    json: JsonFlag = False,
) -> None:
    """Start Airflow, MLflow and the ftcore server on 127.0.0.1; state and logs go to FTCORE_HOME. Safe to repeat."""
    started = time.monotonic()
    home = ftcore_home()
    asked = {"airflow": airflow_port, "mlflow": mlflow_port, "server": server_port}
    stack = start_stack(home, find_project(project), asked_ports=asked, announce=print_note, timeout_s=timeout)
    if json:
        print_json(status(home))
        return
    user, password = stack.credentials
    print_line(f"Up in {time.monotonic() - started:.0f} s. Stop with: ftcore down")
    print_line(f"  Airflow  {stack.url('airflow')}  (user {user}, password {password})")
    print_line(f"  MLflow   {stack.url('mlflow')}")
    print_line(f"  Server   {stack.url('server')}/docs")
    print_line(f"  Logs     {home / 'logs'}")
