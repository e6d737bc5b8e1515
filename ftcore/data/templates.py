"""Chat templates: a conversation as the one text that a model reads, written by the model's own tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ftcore.errors import BaseModelError
from ftcore.spec import Task

_HINT = "use the instruction-tuned model of the family, or put its chat_template.jinja into the folder"


def needs_chat_template(task: Task) -> bool:
    """True for tasks whose rows the model reads as conversations."""
    return task == "instruction"


def load_chat_tokenizer(model_folder: Path) -> Any:
    """The tokenizer of a local model folder; nothing is looked up elsewhere and no code of the folder runs.

    Raises:
        BaseModelError: The folder has no tokenizer, or the tokenizer no chat template.
    """
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(model_folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        message = f"Cannot load the tokenizer in {model_folder} ({type(error).__name__}); wanted tokenizer files."
        raise BaseModelError(message, hint="use a base model that ships tokenizer.json") from error
    if not tokenizer.chat_template:
        message = f"The tokenizer in {model_folder} has no chat template; task `instruction` wants one."
        raise BaseModelError(message, hint=_HINT)
    return tokenizer


def render_chat(tokenizer: Any, messages: Sequence[Mapping[str, str]], *, ask: bool = False) -> str:
    """A conversation as text.

    Args:
        tokenizer: From `load_chat_tokenizer`.
        messages: Turns of a canonical row.
        ask: Leave the last turn out and end where the model's answer begins.

    Raises:
        BaseModelError: The template refuses these turns (no system turn allowed, say) or is broken.
    """
    from jinja2 import TemplateError

    turns = [dict(turn) for turn in (messages[:-1] if ask else messages)]
    try:
        return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask))
    except (TemplateError, TypeError, ValueError, KeyError) as error:  # the text of the error may quote a turn
        seen = " ".join(f"{turn['role']}" for turn in turns)[:200]
        message = f"The chat template refuses a conversation ({type(error).__name__}); saw the turns {seen}."
        raise BaseModelError(message, hint="bring conversations into an order that the base model knows") from None


def render_chats(tokenizer: Any, rows: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str], list[str]]:
    """Ids and texts of the rows, and the ids of those that the template refuses."""
    ids, texts, refused = [], [], []
    for row in rows:
        try:
            texts.append(render_chat(tokenizer, row["messages"]))
            ids.append(str(row["id"]))
        except BaseModelError:
            refused.append(str(row["id"]))
    return ids, texts, refused
