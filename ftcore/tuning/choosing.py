"""Which settings win: the best of many trials is partly lucky, so the mean over fresh seeds decides, not the best score."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ftcore.records import Rescored, digest_of

State = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True, kw_only=True)
class TrialRow:
    """One trial that has ended."""

    number: int
    state: State
    settings: Mapping[str, Any]
    """Values by dotted field name; empty where the trial died before it had any."""
    score: float | None
    """Loss or accuracy of the validation split at the checkpoint that would be kept; None: did not finish."""
    curve: tuple[float, ...]
    """The metric at each validation."""
    seconds: float | None
    reason: str | None
    """Why it failed or was ended."""
    is_own: bool
    """The spec's own settings."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def ranked(trials: Iterable[TrialRow], *, maximise: bool) -> list[TrialRow]:
    """The trials that finished, best first; the earlier of two equals first; the same settings once."""
    finished = [trial for trial in trials if trial.state == "complete" and trial.score is not None]
    finished.sort(key=lambda trial: (_cost(trial.score, maximise), trial.number))
    first: dict[str, TrialRow] = {}
    for trial in finished:
        first.setdefault(digest_of(dict(trial.settings)), trial)
    return list(first.values())


def finalists(trials: Iterable[TrialRow], top: int, *, maximise: bool) -> list[TrialRow]:
    """The best `top` trials, and the spec's own settings wherever they came in: what is chosen should beat those."""
    order = ranked(trials, maximise=maximise)
    return order[:top] + [trial for trial in order[top:] if trial.is_own]


def summarise(trial: TrialRow, scores: Sequence[float]) -> Rescored:
    """Mean and standard deviation (n - 1) of one trial's settings on fresh seeds."""
    assert trial.score is not None
    spread = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return Rescored(
        trial=trial.number, score=trial.score, mean=statistics.fmean(scores), spread=spread, scores=tuple(scores)
    )


def by_mean(rescored: Iterable[Rescored], *, maximise: bool) -> tuple[Rescored, ...]:
    """Best mean first; of equals the earlier trial. The first is the winner."""
    return tuple(sorted(rescored, key=lambda item: (_cost(item.mean, maximise), item.trial)))


def optimism(best: TrialRow, rescored: Iterable[Rescored], *, maximise: bool) -> float | None:
    """By how much the best trial's score looked better than the mean of the same settings on fresh seeds; above 0: too good.

    None where it was not re-scored.
    """
    found = next((item for item in rescored if item.trial == best.number), None)
    return None if found is None else _cost(found.mean, maximise) - _cost(best.score, maximise)


def _cost(score: float | None, maximise: bool) -> float:
    assert score is not None
    return -score if maximise else score
