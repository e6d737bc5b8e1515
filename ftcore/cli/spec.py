"""`ftcore spec check FILE` and `ftcore spec schema`."""

from __future__ import annotations

import typer

from ftcore.cli._output import JsonFlag, SetOption, SpecArgument, libraries_on_stderr, print_json, print_line
from ftcore.errors import BaseModelError, SpecError
from ftcore.spec import FineTuneSpec, load_spec

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Check a spec; print the schema.")


@app.command()
def check(spec: SpecArgument, overrides: SetOption = None, json: JsonFlag = False) -> None:
    """Check a spec as a whole; every fault is listed with its path, the value seen and the values allowed."""
    loaded = load_spec(spec, overrides or ())
    _check_chat_template(loaded)
    _check_few_shot(loaded)
    if loaded.method.peft:  # PEFT takes seconds to import
        from ftcore.training.methods import check_method

        check_method(loaded.method)
    if loaded.evaluation.metrics:
        from ftcore.evaluation.own_metrics import load_metrics

        load_metrics(loaded.evaluation.metrics)
    if json:
        print_json({"ok": True, "name": loaded.name, "digest": loaded.digest, "spec": loaded.model_dump(mode="json")})
    else:
        how = f"{loaded.method.name} fine-tuning of {loaded.base_model.name}"
        print_line(f"ok: {spec} describes {loaded.name} ({loaded.task}, {how})")


def _check_chat_template(spec: FineTuneSpec) -> None:
    """What prepare would say of a base model without a chat template, where the model is on this machine already.

    Raises:
        SpecError: The task needs a template, and the base model has none.
    """
    from ftcore.data.templates import load_chat_tokenizer, needs_chat_template
    from ftcore.models.base import local_folder

    folder = local_folder(spec.base_model, spec.root) if needs_chat_template(spec.task) else None
    if folder is None:
        return
    try:
        with libraries_on_stderr():
            load_chat_tokenizer(folder)
    except BaseModelError as error:
        raise SpecError(error.message, hint=error.hint) from None


def _check_few_shot(spec: FineTuneSpec) -> None:
    """What train would say of a base model that the baseline few_shot cannot ask, where the model is on this machine already.

    Raises:
        SpecError: It is no decoder.
    """
    from ftcore.models.base import local_folder

    if spec.task != "classification" or "few_shot" not in spec.evaluation.baselines:
        return
    folder = local_folder(spec.base_model, spec.root)
    if folder is None:
        return
    from ftcore.models.choosing import require_decoder

    try:
        with libraries_on_stderr():
            require_decoder(folder, spec.base_model.name)
    except BaseModelError as error:
        raise SpecError(error.message, hint=error.hint) from None


@app.command()
def schema() -> None:
    """Print the JSON schema of a spec: every field with its type, default, unit and meaning."""
    print_json(FineTuneSpec.model_json_schema())
