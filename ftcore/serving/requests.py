"""What the server accepts: every field bounded, unknown fields refused."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ftcore.data.cleaning import clean_text, is_broken

MAX_TEXTS = 256
MAX_CHARS = 20_000
MAX_BODY_BYTES = 8 << 20
"""Larger bodies are refused before they are read to the end."""


def _plain(text: str) -> str:
    if not text.strip():
        raise ValueError("is empty")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half of a surrogate pair, which is not text") from None
    return text


def _name(label: str) -> str:
    if is_broken(label):
        raise ValueError("holds control characters or U+FFFD, wanted the name of a class")
    if not clean_text(label):
        raise ValueError("is empty but for invisible characters")
    return label


Text = Annotated[str, Field(max_length=MAX_CHARS), AfterValidator(_plain)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200), AfterValidator(_plain)]
Label = Annotated[Word, AfterValidator(_name)]
Identity = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Message(Closed):
    """One message; `group` (customer) and `source` (channel) are logged with the answer."""

    text: Text
    group: Word | None = None
    source: Word | None = None


class PredictRequest(Closed):
    """`text` for one message, `texts` for several, or `items` where messages come from different customers or channels."""

    text: Text | None = None
    texts: Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    items: Annotated[list[Message], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    group: Word | None = None
    source: Word | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(part is not None for part in (self.text, self.texts, self.items)) != 1:
            raise ValueError("wanted exactly one of `text`, `texts`, `items`")
        if self.items is not None and (self.group or self.source):
            raise ValueError("wanted `group` and `source` inside each of `items`")
        return self

    @property
    def messages(self) -> list[Message]:
        if self.items is not None:
            return list(self.items)
        texts = [self.text] if self.text is not None else list(self.texts or ())
        return [Message(text=text, group=self.group, source=self.source) for text in texts]


class FeedbackItem(Closed):
    """The right label for one answer, by the `id` that the answer carried. Labels the model does not know yet are welcome."""

    id: Identity
    label: Label
    source: Word | None = None
    """Who says so (an agent, a form); logged."""


class FeedbackRequest(Closed):
    """One label (`id`, `label`) or up to 256 of them (`items`)."""

    id: Identity | None = None
    label: Label | None = None
    source: Word | None = None
    items: Annotated[list[FeedbackItem], Field(min_length=1, max_length=MAX_TEXTS)] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        single = self.id is not None and self.label is not None
        if single == (self.items is not None):
            raise ValueError("wanted either `id` and `label`, or `items`")
        return self

    @property
    def all_items(self) -> list[FeedbackItem]:
        if self.items is not None:
            return list(self.items)
        return [FeedbackItem(id=str(self.id), label=str(self.label), source=self.source)]
