"""Models as they answer in production: with the cleaning that their training rows went through, row by row as it is logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ftcore.data.cleaning import clean_lines, clean_text, squeeze_text
from ftcore.errors import BaseModelError, IntegrityError
from ftcore.models.generation import Generator
from ftcore.models.inference import Predictions, Predictor
from ftcore.models.prompts import Prompt

Row = dict[str, Any]


@dataclass(frozen=True)
class Model:
    """A classifier: production must look to it as training did."""

    predictor: Predictor
    fix_encoding: bool

    def clean(self, texts: Sequence[str]) -> list[str]:
        """Texts as the model should see them."""
        return [clean_text(text) if self.fix_encoding else squeeze_text(text) for text in texts]

    def predict(self, cleaned: Sequence[str]) -> Predictions:
        """Answers for texts that `clean` returned."""
        return self.predictor.predict(cleaned)

    def fault_of(self, prompts: Sequence[Prompt]) -> str | None:
        """Why these cannot be answered; None: they can."""
        if all(isinstance(prompt, str) for prompt in prompts):
            return None
        return "the model of this spec names classes; wanted `text`, `texts`, or `items` with `text`"

    def answer(self, prompts: Sequence[Prompt]) -> list[Row]:
        """Per text: prediction (the class), confidence (its probability), num_chars (of the text as the model saw it: cleaned,
        not cut), num_tokens."""
        cleaned = self.clean([text_of(prompt) for prompt in prompts])
        found = self.predict(cleaned)
        rows = zip(found.labels, found.confidences, map(len, cleaned), found.num_tokens, strict=True)
        return [
            {"prediction": label, "confidence": float(confidence), "num_chars": chars, "num_tokens": int(tokens)}
            for label, confidence, chars, tokens in rows
        ]

    def embed(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """[texts, hidden]: how the model sees them."""
        return self.predict(self.clean([text_of(prompt) for prompt in prompts])).embeddings

    def about(self) -> Row:
        """What a caller may want to know of it."""
        return {"labels": list(self.predictor.labels)}


@dataclass(frozen=True)
class ReplyModel:
    """A model that writes replies."""

    generator: Generator
    fix_encoding: bool
    max_new_tokens: int

    def fault_of(self, prompts: Sequence[Prompt]) -> str | None:
        """Why these cannot be answered (the chat template refuses the turns); None: they can."""
        try:
            self.generator.check(self.clean(prompts))
        except BaseModelError as error:
            return error.message
        return None

    def clean(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """Prompts as the model should see them; line breaks stay."""
        change = clean_lines if self.fix_encoding else str.strip
        return [
            change(prompt)
            if isinstance(prompt, str)
            else [{**turn, "content": change(turn["content"])} for turn in prompt]
            for prompt in prompts
        ]

    def answer(self, prompts: Sequence[Prompt]) -> list[Row]:
        """Per prompt: prediction (the reply), confidence (geometric mean of the probabilities of its tokens, the one that ends it
        included), num_chars and num_tokens of the prompt, num_answer_chars and num_answer_tokens of the reply, stopped (the
        model ended it; False: cut at `max_new_tokens`).

        Raises:
            IntegrityError: A probability is NaN.
        """
        cleaned = self.clean(prompts)
        written = self.generator.generate(cleaned)
        nll, num_tokens = self.generator.log_likelihoods(cleaned, written.texts)
        if not np.isfinite(nll).all():
            raise IntegrityError("The model answers with NaN or infinity.", hint="ftcore champion rollback SPEC")
        confidences = np.exp(-nll / np.maximum(num_tokens, 1))
        return [
            {
                "prediction": text, "confidence": float(confidences[number]), "num_chars": len(text_of(cleaned[number])),
                "num_tokens": int(written.num_prompt_tokens[number]), "num_answer_chars": len(text),
                "num_answer_tokens": int(written.num_tokens[number]), "stopped": bool(written.stopped[number]),
            }
            for number, text in enumerate(written.texts)
        ]  # fmt: skip

    def embed(self, prompts: Sequence[Prompt]) -> np.ndarray:
        """[prompts, hidden]: how the model sees them."""
        return self.generator.embed(self.clean(prompts))

    def about(self) -> Row:
        """What a caller may want to know of it."""
        return {"max_new_tokens": self.max_new_tokens}


AnyModel = Model | ReplyModel


def text_of(prompt: Prompt) -> str:
    """A prompt as one text: the contents of its turns, one per line."""
    return prompt if isinstance(prompt, str) else "\n".join(turn["content"] for turn in prompt)


def prompt_of(row: Mapping[str, Any]) -> Prompt:
    """What a logged row asked: its turns, or its text."""
    turns: Prompt | None = row.get("messages")
    return str(row["text"]) if turns is None else turns
