"""Target in prompt: rows whose input text gives the answer away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from ftcore.data.cleaning import normalise_for_match
from ftcore.data.leakage.leaks import Chunk, Leak, Row
from ftcore.data.leakage.near import PASSAGE_WORDS
from ftcore.data.leakage.words import split_words

RULE = "target_in_prompt"
_MARKER = r"(?:label|labels|intent|category|class|answer|target|topic|tag|output|response|sentiment|expected)"
_OPEN, _CLOSE = r"[\[({<\"'#|*]", r"[\])}>\"'|*]"


class TargetInPrompt:
    """Hits concern one row: a test row that is no test, or a train row that teaches to look the answer up.

    A class name counts where nobody would write it by chance: as an identifier (`card_arrival`), behind a marker
    ("intent: refund"), in brackets, or alone on the first or last line. As a plain word of a sentence ("I want a refund") it
    does not. A completion counts where 13 of its words in a row, or all of a shorter one behind a marker, stand in the prompt.
    """

    def __init__(self, test: Sequence[Row]) -> None:
        self._patterns: dict[str, re.Pattern[str]] = {}
        self._in_test = [number for number, row in enumerate(test) if self.gives_away(row)]

    def search(self, chunk: Chunk) -> Iterator[Leak]:
        numbered = enumerate(chunk.rows, chunk.start)
        yield from (Leak(RULE, None, number, 1.0) for number, row in numbered if self.gives_away(row))

    def finish(self) -> Iterable[Leak]:
        return (Leak(RULE, number, None, 1.0) for number in self._in_test)

    def gives_away(self, row: Row) -> bool:
        """True if the input holds the row's own target."""
        text = row.get("text") or ""
        if row.get("completion"):
            return _holds_completion(text, row["completion"])
        label = row.get("label")
        if not label or not text:
            return False
        if label not in self._patterns:
            self._patterns[label] = _label_pattern(label)
        return self._patterns[label].search(text) is not None


def _label_pattern(label: str) -> re.Pattern[str]:
    literal = re.escape(label)
    spoken = r"[\s_-]+".join(re.escape(part) for part in re.split(r"[\s_-]+", label) if part) or literal
    ways = [
        rf"\b{_MARKER}\s*(?:is\s*)?(?:[:=]|->|=>)\s*[\"'\[(<]?\s*(?:{spoken})\b",
        rf"{_OPEN}\s*(?:{spoken})\s*{_CLOSE}",
        rf"__label__(?:{spoken})",
        rf"\A\s*(?:{spoken})\s*(?:[:|\t\n]|-{{1,2}}>)",
        rf"(?:[\n\t|]|-{{1,2}}>|=>)[^\S\n\t]*(?:{spoken})\s*\Z",
    ]
    if re.search(r"[_\d]|[a-z][A-Z]", label) and len(label) >= 5:  # nobody's spelling of plain words
        ways.append(rf"(?<![A-Za-z0-9_]){literal}(?![A-Za-z0-9_])")
    return re.compile("|".join(ways), re.IGNORECASE)


def _holds_completion(prompt: str, completion: str) -> bool:
    answer = split_words(normalise_for_match(completion))
    given = split_words(normalise_for_match(prompt))
    if not answer or len(answer) > len(given):
        return False
    if len(answer) >= PASSAGE_WORDS:
        passages = {tuple(given[at : at + PASSAGE_WORDS]) for at in range(len(given) - PASSAGE_WORDS + 1)}
        return any(tuple(answer[at : at + PASSAGE_WORDS]) in passages for at in range(len(answer) - PASSAGE_WORDS + 1))
    marked = rf"\b{_MARKER}\s*(?:is\s*)?(?:[:=]|->|=>)\s*[\"'\[(<]?\s*{re.escape(completion.strip())}(?!\w)"
    return re.search(marked, prompt, re.IGNORECASE) is not None
