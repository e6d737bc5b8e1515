"""People compare answers: pairs of candidate and champion, blind, in random order, and what their choices say.

Only rows on which the two models answer differently are worth a look. Which of a pair is the candidate's is not in anything
that a reviewer gets: it follows from the seed in the ledger.
"""

from __future__ import annotations

import csv
import itertools
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ftcore.data.reading import read_jsonl
from ftcore.errors import DataRefused, UsageError, num_of
from ftcore.evaluation.files import row_numbers
from ftcore.evaluation.statistics.intervals import wilson
from ftcore.evaluation.statistics.resampling import mcnemar_tail

COLUMNS = ("review", "pair", "choice", "note")
"""Of the sheet. Pairs go by number, from 1: an id out of the data could be a formula."""
CHOICES = ("A", "B", "tie")


@dataclass(frozen=True)
class Pair:
    """Two answers to one row."""

    row_id: str
    asked: str
    first: str
    """Shown as A."""
    second: str
    """Shown as B."""
    candidate_first: bool


@dataclass(frozen=True)
class Reviewed:
    """What reviewers found."""

    reviewers: int
    num_rows: int
    """Rows with at least one choice."""
    candidate: int
    """Rows that most of their reviewers gave to the candidate."""
    champion: int
    tied: int
    win_rate: float
    """(candidate + tied / 2) / rows."""
    ci_low: float
    ci_high: float
    """95 % interval of the win rate."""
    p_value: float
    """Two-sided sign test over rows that are no tie."""
    kappa: float | None
    """Cohen's kappa, mean over pairs of reviewers; None: fewer than two, no row that two have seen, or one choice throughout."""


def sample_pairs(evaluated: Path, count: int, seed: int) -> list[Pair]:
    """Pairs from the folder that `evaluate` wrote, drawn at random among the rows that differ; fewer where there are fewer.

    Raises:
        DataRefused: There is no champion to compare with, or both models answer every row alike.
    """
    answers = {}
    for role in ("candidate", "champion"):
        path = evaluated / "predictions" / f"{role}.jsonl"
        if not path.is_file():
            raise DataRefused(f"The evaluation has no answers of a {role}: there are no pairs to compare.")
        answers[role] = {str(row["id"]): str(row["prediction"]) for row in read_jsonl(path)}
    asked = {str(row["id"]): str(row["text"]) for row in read_jsonl(evaluated / "reference" / "rows.jsonl")}
    differing = [
        name for name, answer in answers["candidate"].items() if answer != answers["champion"].get(name, answer)
    ]
    if not differing:
        raise DataRefused("Candidate and champion answer every row alike: there is nothing to compare.")
    rng = random.Random(seed)
    pairs = []
    for name in rng.sample(differing, min(count, len(differing))):
        ours, theirs, is_first = answers["candidate"][name], answers["champion"][name], rng.random() < 0.5
        pairs.append(Pair(name, asked.get(name, ""), *((ours, theirs) if is_first else (theirs, ours)), is_first))
    return pairs


def read_choices(paths: Sequence[Path], review: str, num_pairs: int) -> list[dict[int, str]]:
    """By file: number of the pair, from 1 -> A, B or tie; pairs without a choice are left out.

    Raises:
        UsageError: A file is missing, named twice or not about this review, or a choice is none; every fault is listed.
    """
    faults, found = [], []
    for number, path in enumerate(paths):
        if path.resolve() in {other.resolve() for other in paths[:number]}:
            faults.append(f"{path} is named twice: one sheet for each reviewer")
            continue
        sheet = _Sheet(path, review, num_pairs)
        faults += sheet.faults
        found.append(sheet.choices)
    if faults:
        raise UsageError("The choices cannot be counted:", details=faults)
    return found


class _Sheet:
    """One reviewer's copy of the sheet: `choices` by number of the pair, and `faults`, each about all rows that have it."""

    def __init__(self, path: Path, review: str, num_pairs: int) -> None:
        self.choices: dict[int, str] = {}
        self._rows: dict[str, list[int]] = {}
        self.faults: list[str] = []
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                delimiter = (
                    ";" if ";" in file.readline() else ","
                )  # as spreadsheets write it where a comma is for decimals
                file.seek(0)
                lines = list(csv.DictReader(file, delimiter=delimiter))
        except FileNotFoundError:
            self.faults.append(f"no file at {path}")
            return
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            self.faults.append(f"{path}: cannot be read ({error})")
            return
        if lines and (missing := [name for name in COLUMNS[:3] if name not in lines[0]]):
            self.faults.append(f"{path.name}: no column {', '.join(missing)}")
            return
        for number, line in enumerate(lines):
            self._read(number, line, review, num_pairs)
        self.faults += [f"{path.name}: {what} ({row_numbers(rows)})" for what, rows in self._rows.items()]
        if not self.choices and not self.faults:
            self.faults.append(f"{path.name}: no choice is filled in")

    def _read(self, row: int, line: Mapping[str, str | None], review: str, num_pairs: int) -> None:
        of, pair, choice = ((line.get(name) or "").strip() for name in COLUMNS[:3])
        plain = next((item for item in CHOICES if item.casefold() == choice.casefold()), None)
        number = int(pair) if pair.isascii() and pair.isdecimal() else 0
        if of != review:
            self._rows.setdefault(f"saw the review {of[:20]!r}, wanted the newest, {review!r}", []).append(row)
        elif not 1 <= number <= num_pairs:
            self._rows.setdefault(f"saw the pair {pair[:20]!r}, wanted 1 to {num_pairs}", []).append(row)
        elif choice and plain is None:
            self._rows.setdefault(f"saw the choice {choice[:20]!r}, wanted {', '.join(CHOICES)}", []).append(row)
        elif number in self.choices:
            self._rows.setdefault(f"pair {number} has a choice already", []).append(row)
        elif plain:
            self.choices[number] = plain


def weigh(pairs: Sequence[Pair], choices: Sequence[Mapping[int, str]]) -> Reviewed:
    """Who wins, how sure that is, and how far reviewers agree.

    A row counts once, for whom most of its reviewers chose, so that rows and not votes are the sample.
    """
    chosen = majority(pairs, choices)
    balance = [_vote(pairs[number - 1], choice) for number, choice in chosen.items()]
    wins, losses, ties = balance.count(1), balance.count(-1), balance.count(0)
    total = wins + losses + ties
    rate = (wins + ties / 2) / total
    low, high = wilson(rate * total, total)
    tail = min(1.0, 2 * mcnemar_tail(max(wins, losses), min(wins, losses)))
    return Reviewed(len(choices), total, wins, losses, ties, rate, low, high, tail, kappa_of(choices))


def majority(pairs: Sequence[Pair], choices: Sequence[Mapping[int, str]]) -> dict[int, str]:
    """By number of the pair, from 1: what most of its reviewers chose, a tie where neither answer has more votes."""
    found = {}
    for number in range(1, len(pairs) + 1):
        votes = [chosen[number] for chosen in choices if number in chosen]
        if votes:
            balance = votes.count("A") - votes.count("B")
            found[number] = "A" if balance > 0 else "B" if balance < 0 else "tie"
    return found


def _vote(pair: Pair, choice: str) -> int:
    """1: for the candidate, -1: for the champion, 0: tie."""
    return 0 if choice == "tie" else 1 if (choice == "A") == pair.candidate_first else -1


def kappa_of(choices: Sequence[Mapping[int, str]]) -> float | None:
    """Cohen's kappa, mean over pairs of reviewers; None where it has no meaning."""
    from sklearn.metrics import cohen_kappa_score

    found = []
    for one, other in itertools.combinations(choices, 2):
        both = sorted(one.keys() & other.keys())
        if both:
            kappa = float(cohen_kappa_score([one[row] for row in both], [other[row] for row in both]))
            found += [] if math.isnan(kappa) else [kappa]
    return sum(found) / len(found) if found else None


def summary(seen: Reviewed) -> str:
    """One sentence for people."""
    agreement = f"; kappa {seen.kappa:.2f}" if seen.kappa is not None else ""
    return (
        f"{num_of(seen.reviewers, 'reviewer')}, {num_of(seen.num_rows, 'row')}: candidate better on {seen.candidate}, champion "
        f"on {seen.champion}, {seen.tied} tied; win rate {seen.win_rate:.1%} ({seen.ci_low:.1%} to {seen.ci_high:.1%}), "
        f"two-sided p = {seen.p_value:.2g}{agreement}"
    )
