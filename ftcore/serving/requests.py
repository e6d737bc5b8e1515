"""What the server accepts: every field bounded, unknown fields refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from ftcore.data.cleaning import clean_text, is_broken
from ftcore.data.conversations import Malformed, check_messages

if TYPE_CHECKING:
    from ftcore.models.prompts import Prompt

MAX_TEXTS = 256
MAX_CHARS = 20_000
"""Of one text, or of all turns of one conversation."""
MAX_TURNS = 256
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


class Turn(Closed):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: Text


def _answerable(turns: list[Turn]) -> list[Turn]:
    """Turns that an answer can follow."""
    if sum(len(turn.content) for turn in turns) > MAX_CHARS:
        raise ValueError(f"holds more than {MAX_CHARS} characters")
    if turns[-1].role not in ("user", "tool"):
        raise ValueError(f"saw the role {turns[-1].role} last, wanted a turn to answer (user or tool)")
    try:
        check_messages([*(turn.model_dump() for turn in turns), {"role": "assistant", "content": "answer"}])
    except Malformed as error:
        raise ValueError(str(error)) from None
    return turns


Turns = Annotated[list[Turn], Field(min_length=1, max_length=MAX_TURNS), AfterValidator(_answerable)]


class Message(Closed):
    """One message, or one conversation that waits for its reply; `group` (customer) and `source` (channel) are logged with the
    answer."""

    text: Text | None = None
    messages: Turns | None = None
    group: Word | None = None
    source: Word | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.text is None) == (self.messages is None):
            raise ValueError("wanted exactly one of `text`, `messages`")
        return self

    @property
    def prompt(self) -> Prompt:
        if self.messages is not None:
            return [{"role": turn.role, "content": turn.content} for turn in self.messages]
        return str(self.text)


class PredictRequest(Closed):
    """`text` for one message, `messages` for one conversation (models that write replies), `texts` for several messages, or
    `items` where they come from different customers or channels."""

    text: Text | None = None
    messages: Turns | None = None
    texts: Annotated[list[Text], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    items: Annotated[list[Message], Field(min_length=1, max_length=MAX_TEXTS)] | None = None
    group: Word | None = None
    source: Word | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(part is not None for part in (self.text, self.messages, self.texts, self.items)) != 1:
            raise ValueError("wanted exactly one of `text`, `texts`, `items`, `messages`")
        if self.items is not None and (self.group or self.source):
            raise ValueError("wanted `group` and `source` inside each of `items`")
        return self

    @property
    def all_items(self) -> list[Message]:
        if self.items is not None:
            return list(self.items)
        about = {"group": self.group, "source": self.source}
        if self.messages is not None:
            return [Message(messages=self.messages, **about)]
        texts = [self.text] if self.text is not None else list(self.texts or ())
        return [Message(text=text, **about) for text in texts]


class Feedback(Closed):
    """What a person says of an answer: the right label of a classified text; a better reply, or thumbs up or down, for a
    generated one."""

    label: Label | None = None
    reply: Text | None = None
    rating: Literal["up", "down"] | None = None
    source: Word | None = None
    """Who says so (an agent, a form); logged."""

    @property
    def says_something(self) -> bool:
        return any(part is not None for part in (self.label, self.reply, self.rating))

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        if self.label is not None and (self.reply is not None or self.rating is not None):
            raise ValueError("wanted either `label` (of a class), or `reply` and `rating` (of a reply)")
        return self


class FeedbackItem(Feedback):
    """Feedback on one answer, by the `id` that the answer carried. Labels the model does not know yet are welcome."""

    id: Identity

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.says_something:
            raise ValueError("wanted one of `label`, `reply`, `rating`")
        return self


class FeedbackRequest(Feedback):
    """Feedback on one answer (`id` and `label`, `reply` or `rating`) or on up to 256 of them (`items`)."""

    id: Identity | None = None
    items: Annotated[list[FeedbackItem], Field(min_length=1, max_length=MAX_TEXTS)] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if self.items is None and not (self.id is not None and self.says_something):
            raise ValueError("wanted either `id` and one of `label`, `reply`, `rating`, or `items`")
        if self.items is not None and (self.id is not None or self.says_something):
            raise ValueError("wanted either `items`, or feedback on one answer")
        return self

    @property
    def all_items(self) -> list[FeedbackItem]:
        if self.items is not None:
            return list(self.items)
        return [FeedbackItem.model_validate(self.model_dump(exclude={"items"}))]
