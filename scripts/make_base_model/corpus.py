"""The text that the base model learns from: conversations of other houses, exercises, stories, and this project's docs.

Nothing here comes from the example data: its shop, its phrase banks and its rows stay unseen, so that fine-tuning has
something left to learn and a holdout stays a holdout.
"""

from __future__ import annotations

import ast
import io
import random
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import yaml

from scripts.make_example_data import voice
from scripts.make_example_data.grammar import expand, fitting, heard
from scripts.make_example_data.words import AGO, CITIES, NAMES, SMALL, STREETS, Customer, words

from .drills import DRILLS, nonsense

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
DOCS = ("README.md", "CONTRIBUTING.md", "LICENSE", "docs")
DOCS_COMMIT = "b6b493e672f6a43482eab544c6cd9e0eea68e870"
Message = dict[str, str]
BANKS = {
    "book": "atlas|novel|cook book|dictionary|travel guide|poem book|comic|song book|bird guide|grammar",
    "bag": "umbrella|rucksack|violin case|brown hat|red scarf|lunch box|walking stick|green folder|toy bear|pair of gloves",
    "plant": "fern|rose|lemon tree|cactus|ivy|basil|orchid|tomato|lavender|fig tree|bamboo|tulip",
    "car": "Corsa|Fiesta|Polo|Clio|Panda|Golf|old Volvo|pickup|minibus|estate car",
    "time": "nine|ten|noon|two o'clock|half past three|a quarter to five|six|8:15|10:40|13:05|17:20|21:50",
    "day": "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday|the 4th|the 9th|the 21st|the 30th",
    "staff": "Miriam|Hannes|Oona|Pavel|Greta|Tarik|Selma|Bruno",
    "name": NAMES, "name2": NAMES, "city": CITIES, "city2": CITIES, "n": SMALL, "daysago": AGO,
}  # fmt: skip
OPEN = ("name", "name2", "city", "city2", "book", "bag", "plant", "car")
"""Slots whose words are partly made up, so that a reply has to look them up in the message."""
MADE_UP = 0.4
OPENINGS = ["", "", "", "Good day, ", "Hello, ", "Dear all, ", "Excuse me. ", "A question: "]
ENDINGS = ["", "", "", " Thank you.", " Thanks!", " Regards, {}", " Best wishes", " Yours, {}"]
GREETINGS = ["", "", "Good day. ", "Hello. ", "Thank you for your message. ", "Thanks for writing to us. "]
SIGN_OFFS = ["", "", " Yours, {house}", " {house}", " We are glad to help.", " Please ask again if you need more."]
SYSTEMS = ["You answer for {house}.", "You are the front desk of {house}. Be brief.", "{house}: answer kindly.",
           "Answer in one or two sentences."]  # fmt: skip


class Speaker:
    """One conversation's world: every slot keeps its value, so that a reply can take up what was said."""

    def __init__(self, rng: random.Random, vocabulary: list[str]) -> None:
        self.rng, self.vocabulary = rng, vocabulary
        self.facts: dict[str, str] = {}

    def fill(self, slot: str) -> str:
        if slot not in self.facts:
            self.facts[slot] = self._draw(slot)
        return self.facts[slot]

    def _draw(self, slot: str) -> str:
        rng = self.rng
        if slot in OPEN and rng.random() < MADE_UP:
            word = nonsense(rng)
            return word if slot in ("book", "bag", "plant") else word.capitalize()
        if slot in BANKS:
            return rng.choice(words(BANKS[slot]))
        if slot == "amt":
            return rng.choice(["{}", "{} euros", "€{}", "£{}", "${}", "{} pounds"]).format(
                f"{rng.randrange(2, 900)}{rng.choice(['', '', '.50', '.99', f'.{rng.randrange(10, 99)}'])}"
            )
        if slot == "street":
            return f"{rng.randrange(1, 200)} {rng.choice(words(STREETS))}"
        if slot in ("num", "num2", "ref"):
            number = str(rng.randrange(10 ** rng.randrange(1, 6), 10 ** rng.randrange(6, 8)))
            return number if slot != "ref" else rng.choice(["{}", "{}", "#{}", "no. {}", "NL-{}"]).format(number)
        if slot.startswith("w"):
            return rng.choice(self.vocabulary) if rng.random() < 0.5 else nonsense(rng)
        raise KeyError(slot)


def conversations(seed: int, count: int) -> Iterator[list[Message]]:
    """Messages and replies of the houses, with exercises in between."""
    houses = yaml.safe_load((HERE / "companies.yaml").read_text(encoding="utf-8"))
    exercises = yaml.safe_load((HERE / "exercises.yaml").read_text(encoding="utf-8"))
    vocabulary = words(exercises.pop("words"))
    for number in range(count):
        rng = random.Random(f"{seed}/conversation/{number}")
        house = rng.choice(list(houses))
        turns: list[Message] = []
        if rng.random() < 0.25:
            turns.append({"role": "system", "content": rng.choice(SYSTEMS).format(house=house)})
        for _ in range(rng.choices([1, 2, 3], weights=[75, 18, 7])[0]):
            kind = rng.choices(["house", "exercise", "drill", "tidy"], weights=[64, 14, 14, 8])[0]
            if kind == "house":
                asked, answer = _exchange(houses[house], house, Speaker(rng, vocabulary))
            elif kind == "exercise":
                speaker = Speaker(rng, vocabulary)
                speaker.facts["house"] = house
                lines = rng.choice(exercises[rng.choice(list(exercises))])
                asked, answer = (expand_lines(line, rng, speaker) for line in lines)
            elif kind == "drill":
                asked, answer = rng.choice(DRILLS)(rng, vocabulary)
            else:
                asked, answer = _tidy(houses[house], Speaker(rng, vocabulary))
            turns += [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]
        yield turns


def expand_lines(line: str, rng: random.Random, speaker: Speaker) -> str:
    """`expand`, keeping line breaks."""
    return "\n".join(expand(part, rng, speaker.fill) for part in line.split("\n"))


def _exchange(topics: dict[str, dict[str, str]], house: str, speaker: Speaker) -> tuple[str, str]:
    rng = speaker.rng
    topic = topics[rng.choice(list(topics))]
    asked = rng.sample(topic["user"].strip().splitlines(), rng.choice([1, 1, 2]))
    said = [expand(line, rng, speaker.fill) for line in asked]
    writer = Customer.draw(0, rng, ["a", "b"], ["a", "b"])
    plain = rng.choice(OPENINGS) + " ".join(said) + rng.choice(ENDINGS).format(writer.name)
    text = voice.speak(plain, writer, rng.choice(["email", "chat"])) if rng.random() < 0.5 else plain
    facts = heard(speaker.facts, text)
    lines = fitting(topic["reply"].strip().splitlines(), {*facts, "staff"})
    speaker.facts = facts
    answer = (
        expand(rng.choice(lines), rng, speaker.fill) if lines else "Please tell us a little more, so that we can help."
    )
    greeting = f"Dear {writer.name}, " if f" {writer.name}" in text and rng.random() < 0.7 else rng.choice(GREETINGS)
    return text, greeting + answer + rng.choice(SIGN_OFFS).format(house=house)


def _tidy(topics: dict[str, dict[str, str]], speaker: Speaker) -> tuple[str, str]:
    """A message as somebody typed it, and as they meant it."""
    rng = speaker.rng
    line = rng.choice(topics[rng.choice(list(topics))]["user"].strip().splitlines())
    plain = expand(line, rng, speaker.fill)
    writer = Customer.draw(0, rng, ["a", "b"], ["a", "b"])
    asked = voice.speak(plain, writer, rng.choice(["email", "chat", "phone_transcript"]))
    return rng.choice(["Write this properly: {}", "Without slips, please: {}"]).format(asked), plain


def stories(seed: int, count: int) -> Iterator[str]:
    """Short prose: an opening, some sentences, an end."""
    bank = {kind: lines.strip().splitlines() for kind, lines in _load("stories.yaml").items()}
    vocabulary = words(_load("exercises.yaml")["words"])
    for number in range(count):
        rng = random.Random(f"{seed}/story/{number}")
        speaker = Speaker(rng, vocabulary)
        middles = rng.sample(bank["middles"], rng.randrange(2, 7))
        lines = [rng.choice(bank["openings"]), *middles, rng.choice(bank["endings"])]
        yield " ".join(expand(line, rng, speaker.fill) for line in lines)


def _load(name: str) -> dict[str, str]:
    content: dict[str, str] = yaml.safe_load((HERE / name).read_text(encoding="utf-8"))
    return content


def project_texts(root: Path = ROOT) -> Iterator[str]:
    """The docs, by section, and the docstrings of the code, by module, as of `DOCS_COMMIT`: later edits change no weights."""
    command = ["git", "-C", str(root), "archive", DOCS_COMMIT, *DOCS, "ftcore"]
    archive = subprocess.run(command, check=True, capture_output=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        files = {entry.name: tar.extractfile(entry) for entry in tar.getmembers() if entry.isfile()}
        texts = {name: file.read().decode() for name, file in sorted(files.items()) if file and _is_text(name)}
    for name, text in texts.items():
        if not name.endswith(".py"):
            yield from text.strip().split("\n## ")
            continue
        nodes = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Module | ast.ClassDef | ast.FunctionDef)]
        found = [docstring for node in nodes if (docstring := ast.get_docstring(node))]
        if found:
            yield "\n\n".join(found)


def _is_text(name: str) -> bool:
    return name.endswith((".py", ".md")) or name == "LICENSE"
