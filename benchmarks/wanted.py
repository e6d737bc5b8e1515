"""What a benchmark must show: printed beside what was seen, and the exit status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Wanted:
    """A figure and its limits, both in the same unit."""

    what: str
    seen: float
    least: float | None = None
    most: float | None = None

    @property
    def met(self) -> bool:
        """NaN never is."""
        return (self.least is None or self.seen >= self.least) and (self.most is None or self.seen <= self.most)

    def line(self) -> str:
        limits = [f"at least {self.least:g}"] if self.least is not None else []
        limits += [f"at most {self.most:g}"] if self.most is not None else []
        return f"{'met' if self.met else 'MISSED'}: {self.what} {self.seen:.4g}, wanted {' and '.join(limits)}"


def exit_status(figures: Iterable[Wanted]) -> int:
    """Say what was met; 1 if anything was missed, else 0."""
    figures = list(figures)
    for figure in figures:
        print(figure.line())
    return int(not all(figure.met for figure in figures))
