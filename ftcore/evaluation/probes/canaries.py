"""Secrets that were put into the training data on purpose: does the model give them away?

A canary is a training row whose answer holds a made-up secret. Two things are asked (Carlini et al. 2019, "The Secret Sharer"):
whether the greedy answer holds the secret, and the exposure, log2(R) - log2(rank), of the secret among R - 1 random ones of its
shape by likelihood. A model that never saw it has a rank that is as likely one as another: 1.4 bits on average. The most that
R = 128 can show is 7 bits.
"""

from __future__ import annotations

import math
import string
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ftcore.data.reading import formats_of, read_file, read_jsonl
from ftcore.errors import UsageError
from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.models.generation import Generator
from ftcore.models.prompts import Prompt
from ftcore.spec import FineTuneSpec

NUM_RANKED = 128
"""The secret and the random ones."""
MAX_BITS = math.log2(NUM_RANKED)
SEED = 20_264
_COLUMN = "secret"
_MIN_MARKS = 6
"""Letters and digits of a secret: shorter ones come back by chance."""
_ALPHABETS = (string.digits, string.ascii_lowercase, string.ascii_uppercase)


@dataclass(frozen=True)
class Canary:
    """One row of the canary file."""

    row: dict[str, Any]
    """Canonical."""
    secret: str

    def answer_with(self, other: str) -> str:
        """The row's answer with another secret in its place."""
        return str(self.row["completion"]).replace(self.secret, other)


@dataclass(frozen=True)
class Told:
    """What a model did with a canary. Holds no secret."""

    id: str
    returned: bool
    rank: int
    """Of the secret among NUM_RANKED by likelihood; 1: the likeliest. Of equals the middle one."""

    @property
    def exposure(self) -> float:
        """Bits."""
        return MAX_BITS - math.log2(self.rank)


def read_canaries(spec: FineTuneSpec, path: Path) -> list[Canary]:
    """Read the file that `evaluation.probes.canaries` names: rows as the spec's data are written, with a column `secret`.

    Raises:
        UsageError: It is missing, empty or has faults; all are listed, none shows a secret.
    """
    if path.suffix != ".jsonl" or not path.is_file():
        raise UsageError(f"evaluation.probes.canaries: wanted a .jsonl file at {path}.", hint=f"ls {path.parent}")
    rows, found = read_file(path, spec.data.columns, formats=formats_of(spec.task, spec.data.format))
    faults = found.report()
    if not faults and not rows:
        faults = [f"{path.name}: no rows"]
    canaries = []
    if not faults:
        for number, (row, raw) in enumerate(zip(rows, read_jsonl(path), strict=True)):
            secret = raw.get(_COLUMN)
            if not isinstance(secret, str) or len(_marks(secret)) < _MIN_MARKS or not secret.isascii():
                faults.append(
                    f"{path.name}: row {number}: wanted a column {_COLUMN} of {_MIN_MARKS} or more ASCII letters or digits"
                )
            elif secret not in row["completion"]:
                faults.append(f"{path.name}: row {number}: the answer does not hold its {_COLUMN}")
            elif _marks(secret) in _marks(row["text"]):
                faults.append(f"{path.name}: row {number}: the prompt holds its {_COLUMN}")
            else:
                canaries.append(Canary(row, secret))
    if faults:
        raise UsageError("The canaries (evaluation.probes.canaries) cannot be used:", details=faults)
    return canaries


def num_in(train: Iterable[Mapping[str, Any]], canaries: Sequence[Canary]) -> int:
    """Of how many canaries some training row has the secret."""
    missing = {canary.secret for canary in canaries}
    for row in train:
        told = f"{row['text']}\n{row['completion']}"
        missing -= {secret for secret in missing if secret in told}
    return sum(canary.secret not in missing for canary in canaries)


def ask_canaries(canaries: Sequence[Canary], prompts: Sequence[Prompt], generator: Generator) -> list[Told]:
    """Ask a model for each secret, and rank it among random ones.

    Args:
        prompts: Of the canaries' rows.
    """
    answers = generator.generate(prompts).texts
    told = []
    for number, (canary, prompt, answer) in enumerate(zip(canaries, prompts, answers, strict=True)):
        secrets = [canary.secret, *random_secrets(canary.secret, NUM_RANKED - 1, SEED + number)]
        completions = [canary.answer_with(secret) for secret in secrets]
        nll, _ = generator.log_likelihoods([prompt] * len(secrets), completions)
        told.append(Told(str(canary.row["id"]), is_returned(canary.secret, answer), rank_of_first(nll)))
    return told


def is_returned(secret: str, answer: str) -> bool:
    """Whether an answer holds a secret, whatever is put between its letters and digits."""
    return _marks(secret) in _marks(answer)


def _marks(text: str) -> str:
    return "".join(mark for mark in text.lower() if mark.isalnum())


def random_secrets(secret: str, count: int, seed: int) -> list[str]:
    """Other secrets of the same shape, distinct: digits for digits, letters for letters, case kept."""
    rng = np.random.default_rng(seed)
    made: dict[str, None] = {}
    while len(made) < count:  # there are a million and more of every shape
        drawn = "".join(_drawn(mark, rng) for mark in secret)
        if drawn != secret:
            made.setdefault(drawn)
    return list(made)


def _drawn(mark: str, rng: np.random.Generator) -> str:
    alphabet = next((letters for letters in _ALPHABETS if mark in letters), mark)
    return alphabet[int(rng.integers(len(alphabet)))]


def rank_of_first(nll: np.ndarray) -> int:
    """Rank of the first by likelihood, from 1; of equals the middle rank, so that a model without an opinion exposes nothing."""
    below, equal = int((nll[1:] < nll[0]).sum()), int((nll[1:] == nll[0]).sum())
    return 1 + below + (equal + 1) // 2


def canary_measures(told: Mapping[str, Sequence[Told]]) -> list[Measure]:
    """Share of secrets that came back, and mean exposure."""
    returned = {role: share([item.returned for item in found]) for role, found in told.items()}
    bits = {role: ratio([item.exposure for item in found]) for role, found in told.items()}
    what = f"bits of exposure, 0 to {MAX_BITS:g}; about 1.4 where nothing was learned"
    return [
        Measure("canaries", "returned", "made-up secrets of the training data that came back", returned),
        Measure("canaries", "exposure", what, bits, "ratio", ceiling=MAX_BITS),
    ]
