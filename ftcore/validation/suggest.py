"""A suite to review, made from what a data set looks like: every limit has slack, every note says what was seen.

It describes the set, it does not judge it: a set that is broken already gives a suite that expects it broken. Hence to review.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ftcore.validation.custom import content, conversations, texts
from ftcore.validation.custom._base import RowExpectation
from ftcore.validation.expectations import to_frame
from ftcore.validation.surroundings import Surroundings, surrounded_by

Row = Mapping[str, Any]
Item = dict[str, Any]
_SLACK = 2.0  # faults may double
_ROOM = 0.005  # and half a percent may come on top
_MAX_LABELS = 300  # more are free text, not labels


def suggest_suite(
    splits: Mapping[Any, Sequence[Row]], around: Surroundings = Surroundings(), name: str = "suggested"
) -> dict[str, Any]:
    """A suite that the data set meets, as plain JSON for `load_suite`.

    Args:
        splits: Rows in canonical columns per split; empty splits are passed over.
        around: Task, tokenizer and length limit; without a tokenizer nothing is suggested about tokens.
        name: Name of the suite.
    """
    frames = {split: to_frame(rows, around.task) for split, rows in splits.items() if rows}
    items = [*_size(frames), *_ids(frames), *_text(frames, around)]
    items += _labels(frames) if around.task == "classification" else _answers(frames, around)
    items += [*_sources(frames), _change()]
    notes = (
        f"Made from {', '.join(f'{len(frame)} {split} rows' for split, frame in frames.items())}. Review every limit."
    )
    return {"name": name, "meta": {"notes": notes}, "expectations": items}


def _item(kind: str, notes: str, meta: Mapping[str, Any] | None = None, **kwargs: Any) -> Item:
    return {"type": kind, "kwargs": kwargs, "meta": {"notes": notes, **(meta or {})}}


def _size(frames: Mapping[str, Any]) -> Iterable[Item]:
    for split, frame in frames.items():
        yield _item(
            "expect_table_row_count_to_be_between",
            f"Seen: {len(frame)} rows. Less than half of that is a lost file.",
            {"splits": [split]},
            min_value=math.ceil(len(frame) / 2),
        )


def _ids(frames: Mapping[str, Any]) -> Iterable[Item]:
    repeated = sum(int(frame["id"].duplicated().sum()) for frame in frames.values() if "id" in frame)
    if not repeated:
        yield _item(
            "expect_column_values_to_be_unique", "Seen: no id twice. Ids join predictions to rows.", column="id"
        )


def _text(frames: Mapping[str, Any], around: Surroundings) -> Iterable[Item]:
    yield from _filled(frames, "text")
    yield from _lengths(frames, "text")
    yield from _counted(frames, around, "text", texts.ExpectColumnTextToBeUndamaged, "Bytes lost or misread")
    yield from _counted(frames, around, "text", texts.ExpectColumnTextToHaveNoHiddenCharacters, "Hidden characters")
    yield from _counted(frames, around, "text", texts.ExpectColumnTextToBeDistinct, "Repeated texts")
    yield from _languages(frames, around)
    if around.tokenizer is not None and around.max_length is not None:
        yield from _counted(frames, around, "text", texts.ExpectColumnTextToFitTokens, "Texts cut off at max_length")
    listed = content.ExpectColumnTextToHaveNoListedWords
    yield from _counted(frames, around, "text", listed, "Profanity", {"action": "refuse"})
    yield _item(
        "expect_column_text_to_have_no_injection_markers",
        "Orders to a model, and control tokens of chats, are set aside row by row, however few were seen.", column="text",
    )  # fmt: skip


def _filled(frames: Mapping[str, Any], column: str) -> Iterable[Item]:
    here = {split: frame[column] for split, frame in frames.items() if column in frame}
    if here:
        worst = max(float(values.isna().mean()) for values in here.values())
        yield _item(
            "expect_column_values_to_not_be_null", f"Seen: {worst:.2%} of the rows without {column} in the worst split.",
            column=column, mostly=_mostly(worst),
        )  # fmt: skip


def _lengths(frames: Mapping[str, Any], column: str) -> Iterable[Item]:
    here = [frame[column].dropna() for frame in frames.values() if column in frame]
    longest = max((len(value) for values in here for value in values), default=0)
    if longest:
        yield _item(
            "expect_column_value_lengths_to_be_between",
            f"Seen: {longest} characters in the longest {column}; twice that is another kind of text.",
            {"if_present": True}, column=column, max_value=2 * longest, mostly=1.0 - _ROOM,
        )  # fmt: skip


def _counted(
    frames: Mapping[str, Any], around: Surroundings, column: str, expectation: Callable[..., RowExpectation], what: str,
    meta: Mapping[str, Any] | None = None, **kwargs: Any,
) -> Iterable[Item]:  # fmt: skip
    """The expectation itself counts the faults; `mostly` lets them double. Nothing where it can judge no row of a split."""
    built = expectation(column=column, **kwargs)
    seen = {}
    for split, frame in frames.items():
        if column not in frame:
            continue
        here = replace(around.of_split(split), labels=None)
        with surrounded_by(here):
            observed = built.look(frame, here)
        if not observed.num_looked_at:
            return
        seen[split] = (len(observed.rows), observed.num_looked_at)
    if not seen:
        return
    split, (faults, rows) = max(seen.items(), key=lambda item: item[1][0] / item[1][1])
    notes = f"{what}. Seen: {faults} of {rows} rows in {split}, the worst split."
    yield _item(
        built.expectation_type, notes, {"if_present": True, **(meta or {})}, column=column, **kwargs,
        mostly=_mostly(faults / rows),
    )  # fmt: skip


def _languages(frames: Mapping[str, Any], around: Surroundings) -> Iterable[Item]:
    """The languages of at least 1 % of the rows that can be told; nothing where fewer than 50 can."""
    probe = texts.ExpectColumnTextLanguageToBeIn(column="text", languages=[])
    counts: Counter[str] = Counter()
    for frame in frames.values():
        if "text" in frame:
            counts.update(why.removeprefix("language ") for why in probe.look(frame, around).rows.values())
    if counts.total() >= 50:
        languages = sorted(language for language, count in counts.items() if count >= 0.01 * counts.total())
        what = f"Languages: {', '.join(f'{language} {counts[language]}' for language in languages)} rows"
        expectation = texts.ExpectColumnTextLanguageToBeIn
        yield from _counted(frames, around, "text", expectation, what, languages=languages)


def _labels(frames: Mapping[str, Any]) -> Iterable[Item]:
    yield from _filled(frames, "label")
    counts = {split: Counter(frame["label"].dropna()) for split, frame in frames.items() if "label" in frame}
    known = sorted(set().union(*counts.values()))
    if not known or len(known) > _MAX_LABELS:
        return
    yield _item(
        "expect_column_values_to_be_in_set", f"Seen: {len(known)} labels. A new one is a decision, not an accident.",
        column="label", value_set=known,
    )  # fmt: skip
    train = counts.get("train", Counter())
    if len(train) > 1:
        top, least = max(train.values()), min(train.values())
        share = top / train.total()
        meta = {"splits": ["train"]}
        yield _item(
            "expect_column_labels_to_be_balanced", f"Seen: {share:.2%} of the rows with the most frequent label.", meta,
            column="label", max_share=min(1.0, round(1.5 * share + _ROOM, 3)),
        )  # fmt: skip
        yield _item(
            "expect_column_labels_to_have_rows", f"Seen: {least} rows with the rarest label.", meta,
            column="label", min_rows=max(1, least // 2),
        )  # fmt: skip
        yield _item(
            "expect_column_ngrams_not_to_decide_label",
            "A rare phrase that decides the label against the rest of its rows is how a backdoor looks; its rows are set aside.",
            meta, column="text",
        )  # fmt: skip
    test = counts.get("test")
    if test is not None and train and not test.keys() - train.keys():
        missing = len(train.keys() - test.keys())
        yield _item(
            "expect_column_labels_to_match_train", f"Seen: test lacks {missing} labels of train, and has none besides.",
            {"splits": ["test"]}, column="label", max_missing=missing,
        )  # fmt: skip


def _answers(frames: Mapping[str, Any], around: Surroundings) -> Iterable[Item]:
    yield from _filled(frames, "completion")
    yield from _lengths(frames, "completion")
    yield from _counted(frames, around, "completion", texts.ExpectColumnTextToBeUndamaged, "Bytes lost or misread")
    refuse = {"action": "refuse"}
    turns = conversations.ExpectColumnMessagesToTakeTurns
    yield from _counted(frames, around, "messages", turns, "Turns out of order or empty", refuse)
    if around.tokenizer is not None and around.max_length is not None:
        for expectation, what in (
            (conversations.ExpectColumnMessagesToReachEos, "Answers cut off, or not ended by the chat template"),
            (conversations.ExpectColumnMessagesToSurviveTemplate, "Characters lost by chat template or tokenizer"),
        ):
            yield from _counted(frames, around, "messages", expectation, what, refuse)


def _sources(frames: Mapping[str, Any]) -> Iterable[Item]:
    counts = Counter(source for frame in frames.values() if "source" in frame for source in frame["source"].dropna())
    if not counts or len(counts) > 100:
        return
    here = [frame for frame in frames.values() if "source" in frame and frame["source"].notna().any()]
    share = max(frame["source"].value_counts().iloc[0] / len(frame) for frame in here)
    meta = {"if_present": True}
    yield _item(
        "expect_column_values_to_be_in_set",
        f"Seen: {len(counts)} sources. Rows of another one are set aside until somebody has looked at them.",
        meta | {"action": "quarantine", "reason": "new_source"}, column="source", value_set=sorted(counts),
    )  # fmt: skip
    if share < 0.9:
        yield _item(
            "expect_column_source_to_stay_under_quota", f"Seen: {share:.2%} of a split's rows from one source.", meta,
            column="source", max_share=min(1.0, round(1.25 * float(share), 3)),
        )  # fmt: skip


def _change() -> Item:
    return _item(
        "expect_table_to_resemble_accepted",
        "A version that differs much from the last accepted one is a broken export more often than news (validation.accepted).",
    )


def _mostly(share: float) -> float:
    """The share of good rows to ask for, rounded down."""
    return max(0.0, math.floor(1000 * (1.0 - _SLACK * share - _ROOM)) / 1000)
