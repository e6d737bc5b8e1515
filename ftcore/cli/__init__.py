"""The command line: one file per verb. A verb parses, calls one function and prints.

Exit codes: 0 done, 1 crashed, 2 usage or spec, 3 refused.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from ftcore.cli._env import quiet_env
from ftcore.cli._output import print_error, print_json
from ftcore.errors import FtcoreError

# verb -> (module:attribute, one line of help). A verb's module is imported only when that verb is used, so that
# `ftcore --help` answers at once.
VERBS: dict[str, tuple[str, str]] = {
    "demo": ("ftcore.cli.demo:demo", "Run the whole loop on real Airflow with the shipped example."),
    "up": ("ftcore.cli.up:up", "Start the embedded stack (Airflow, MLflow, ftcore server) on 127.0.0.1."),
    "down": ("ftcore.cli.down:down", "Stop the embedded stack, and only it."),
    "status": ("ftcore.cli.status:status", "Show what is running, the champions, and where to look."),
    "doctor": ("ftcore.cli.doctor:doctor", "Check the machine, the environment and the stack."),
    "init": ("ftcore.cli.init:init", "Scaffold a project: spec, DAG files, suite, data repository under DVC."),
    "spec": ("ftcore.cli.spec:app", "Check a spec; print the schema."),
    "run": ("ftcore.cli.run:run", "Run the pipeline in one process, without Airflow."),
    "tune": ("ftcore.cli.tune:tune", "Search for settings on the validation split."),
    "stage": ("ftcore.cli.stage:stage", "Run one stage (what Airflow calls)."),
    "join": ("ftcore.cli.join:join", "Help another machine to train (compute.nodes)."),
    "preflight": ("ftcore.cli.preflight:preflight", "Check rows, model and memory for training, without training."),
    "validate": ("ftcore.cli.validate:validate", "Data quality and leakage verdict, with Data Docs."),
    "quarantine": ("ftcore.cli.quarantine:app", "List rows that were set aside; let rows back in."),
    "leakage": ("ftcore.cli.leakage:leakage", "Find test rows that training would see, in two files."),
    "convert": ("ftcore.cli.convert:convert", "Write conversations in another format."),
    "compare": ("ftcore.cli.compare:compare", "Compare two prediction files, paired, with a verdict."),
    "benchmark": ("ftcore.cli.benchmark:benchmark", "Standard benchmarks of a model, through lm-eval."),
    "report": ("ftcore.cli.report:report", "Find, open or export the error report of a run."),
    "drift": ("ftcore.cli.drift:drift", "Decide on drift between two prediction logs or text files."),
    "gate": ("ftcore.cli.gate:app", "Show what decides a promotion; put other rules in force."),
    "review": ("ftcore.cli.review:app", "Let people compare answers, blind; put what they find on record."),
    "champion": ("ftcore.cli.champion:app", "Show, promote or roll back the model in production."),
    "serve": ("ftcore.cli.serve:serve", "Serve the champion over HTTP."),
    "feedback": ("ftcore.cli.feedback:app", "Send labels back; turn them into a data version."),
    "watch": ("ftcore.cli.watch:watch", "Judge the newest production window; alarm and ask for retraining."),
    "reconcile": (
        "ftcore.cli.reconcile:reconcile",
        "Finish what a crash left, repair aliases, deliver alerts.",
    ),
    "audit": ("ftcore.cli.audit:app", "Verify the ledger; answer why a model is in production."),
}


class LazyGroup(TyperGroup):
    """Lists verbs from the table above and imports a verb's module only when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(VERBS)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(verb, summary) for verb, (_, summary) in VERBS.items()])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in VERBS:
            return None
        module, _, attribute = VERBS[cmd_name][0].partition(":")
        command = getattr(importlib.import_module(module), attribute)
        if isinstance(command, typer.Typer):
            group = typer.main.get_command(command)
            group.name = cmd_name
            return group
        single = typer.Typer(add_completion=False, rich_markup_mode=None)
        single.command(name=cmd_name)(command)
        return typer.main.get_command(single)


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Keep a fine-tuned language model good: versioned data, promotion on evidence, drift watch, retraining.",
)


@app.callback()
def _root() -> None: ...


def main() -> None:
    """Entry point: runs a verb and turns errors of the tree into a message and an exit code."""
    quiet_env()
    try:
        app(standalone_mode=True)
    except FtcoreError as error:
        if "--json" in sys.argv:  # programs read standard output; Airflow decides on a retry by `transient`
            told = {
                "kind": type(error).__name__,
                "message": error.message,
                "details": list(error.details),
                "hint": error.hint,
                "transient": error.transient,
            }
            print_json({"error": told})
        print_error(error)
        sys.exit(error.exit_code)
