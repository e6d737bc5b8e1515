"""Checks of the rows as training will meet them, token by token: the faults that show only when the model is used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from ftcore.data.templates import render_chat
from ftcore.training.conversations import IGNORED, Encoded, encode_prompt
from ftcore.training.findings import Finding

_SAMPLE = 200
_MOST = 0.9
_NAMED = 8


def label_coverage(labels: Sequence[str], train: Sequence[int], validation: Sequence[int]) -> Finding:
    """Every class has training rows; otherwise the model has an output that never learns.

    Args:
        train: Class index of each training row.
        validation: Same of the validation rows.
    """
    counts, judged = Counter(train), Counter(validation)
    missing = [label for index, label in enumerate(labels) if not counts[index]]
    if missing:
        named = ", ".join(missing[:_NAMED]) + (", …" if len(missing) > _NAMED else "")
        message = f"{len(missing)} of {len(labels)} classes have no training row: {named}"
        return Finding("labels", "fault", message, "add rows of these classes, or take the classes out")
    rows = f"{min(counts.values()):,} to {max(counts.values()):,} training rows for each of {len(labels)} classes"
    unjudged = sum(not judged[index] for index in range(len(labels)))
    if unjudged:
        return Finding("labels", "doubt", f"{rows}; {unjudged} classes have no validation row")
    return Finding("labels", "ok", rows)


def answers_left(rows: Sequence[Encoded], max_length: int) -> Finding:
    """Answer tokens are there after rows were cut to `max_length` tokens."""
    empty = sum(not any(label != IGNORED for label in row.labels[1:]) for row in rows)
    cut = sum(row.answer_is_cut for row in rows)
    learnt = sum(label != IGNORED for row in rows for label in row.labels)
    share = learnt / max(sum(len(row.labels) for row in rows), 1)
    message = f"{share:.0%} of the tokens are answers to learn"
    hint = f"--set training.max_length={max_length * 2}"
    if empty > len(rows) / 2:
        return Finding("answers", "fault", f"{empty:,} of {len(rows):,} training rows have no answer token left", hint)
    if empty or cut:
        told = f"{message}; {empty:,} of {len(rows):,} rows have none left, {cut:,} lost the end of their answer"
        return Finding("answers", "doubt", told, hint)
    return Finding("answers", "ok", message)


def targets_left(is_cut: Sequence[bool], max_length: int) -> Finding:
    """Whole answers are there after they were cut to `max_length` tokens.

    Args:
        is_cut: Of each row: its answer lost its end.
    """
    cut = sum(is_cut)
    if not cut:
        return Finding("answers", "ok", f"all {len(is_cut):,} answers are whole")
    told = f"{cut:,} of {len(is_cut):,} rows lost the end of their answer"
    return Finding(
        "answers", "fault" if cut > len(is_cut) / 2 else "doubt", told, f"--set training.max_length={max_length * 2}"
    )


def stop_learnt(labels: Sequence[Sequence[int]], is_cut: Sequence[bool], stop_ids: Collection[int]) -> Finding:
    """A token at which generation stops is part of what each answer teaches; without it the model never learns to end.

    Args:
        labels: Of each row, -100 where nothing is learnt. Only the last run of learnt tokens counts: the last answer.
        is_cut: The row's answer lost its end, which is no fault of the template.
        stop_ids: Tokens that generation stops at.
    """
    whole = [row for row, cut in zip(labels, is_cut, strict=True) if not cut]
    taught = sum(bool(set(_last_run(row)) & set(stop_ids)) for row in whole)
    share = taught / len(whole) if whole else 0.0
    message = f"{taught:,} of {len(whole):,} whole answers end with a token that generation stops at"
    if not taught:
        hint = "use a chat template that ends the assistant's turn with the tokenizer's eos_token"
        return Finding("stop", "fault", f"{message}; the model would never learn to stop", hint)
    return Finding("stop", "ok" if share >= _MOST else "doubt", message)


def _last_run(labels: Sequence[int]) -> list[int]:
    run: list[int] = []
    for label in reversed(labels):
        if label != IGNORED:
            run.append(label)
        elif run:
            break
    return run


def chat_round_trip(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """Ids give the rendered text back, and a prompt as generation writes it begins the row as training saw it."""
    sample = rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]
    texts = [render_chat(tokenizer, row["messages"]) for row in sample]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    changed = sum(_decoded(tokenizer, item) != text for item, text in zip(ids, texts, strict=True))
    prompts = [encode_prompt(tokenizer, row["messages"]) for row in sample]
    shifted = sum(item[: len(prompt)] != prompt for item, prompt in zip(ids, prompts, strict=True))
    return _round_trip(tokenizer, len(sample), changed, shifted, ids)


def text_round_trip(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping[str, Any]]) -> Finding:
    """The ids of an answer give its text back (encoder-decoders)."""
    sample = [row["completion"] for row in rows[:: max(1, len(rows) // _SAMPLE)][:_SAMPLE]]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in sample]
    changed = sum(_decoded(tokenizer, item) != text for item, text in zip(ids, sample, strict=True))
    return _round_trip(tokenizer, len(sample), changed, 0, ids)


def _decoded(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def _round_trip(
    tokenizer: PreTrainedTokenizerBase, num_rows: int, changed: int, shifted: int, ids: Sequence[Sequence[int]]
) -> Finding:
    unknown = sum(tokenizer.unk_token_id in item for item in ids) if tokenizer.unk_token_id is not None else 0
    if not (changed or shifted or unknown):
        return Finding("round trip", "ok", f"text to tokens and back is the same for {num_rows:,} of {num_rows:,} rows")
    parts = (
        (changed, "do not come back the same from their tokens"),
        (shifted, "have a prompt whose tokens differ from the beginning of the whole row"),
        (unknown, "hold characters that the tokenizer does not know"),
    )
    told = "; ".join(f"{count:,} of {num_rows:,} rows {what}" for count, what in parts if count)
    return Finding("round trip", "doubt", told, "look whether the base model's tokenizer fits the language of the data")
