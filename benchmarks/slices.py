"""How often a planted bad slice is found, and how often one is found that is not there.

    python -m benchmarks.slices                # 20 minutes on a busy machine
    python -m benchmarks.slices --smoke        # seconds: a few draws, figures mean little
    python -m benchmarks.slices --render       # then write the table into docs/error-analysis.md
    python -m benchmarks.slices --share 0.5    # half of the draws; the table says how many

Rows with five columns and a length; 20 % of them are wrong, in a planted slice of 5 % of the rows 35 %. The slice is one
value of a column, one of 20 topics, a value with a length (20 % of a column's rows), or a value where rows come in groups of
five whose errors go together; or there is none. Found: a slice at least half of whose rows are planted, with at least half of
all planted rows. False: less than half of its rows are planted. The peer is what one tree over all rows gives: its worst
leaves, taken until they hold 5 % of the rows, without a second look and without correction. Same draws for both.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.tree import DecisionTreeRegressor

from benchmarks.documents import put_between
from benchmarks.wanted import Wanted, exit_status
from ftcore.evaluation.analysis.conditions import Feature, features_of, rows_meeting
from ftcore.evaluation.analysis.slice_search import MAX_LEAVES
from ftcore.evaluation.analysis.slices import MIN_ROWS, find_slices
from ftcore.evaluation.rows import Bools, Column, Floats, Ints
from ftcore.evaluation.statistics.intervals import wilson

DOC = Path(__file__).parents[1] / "docs" / "error-analysis.md"
BEGIN, END = "<!-- slices table: python -m benchmarks.slices --render -->", "<!-- end of slices table -->"
KINDS = {
    "value": "a value of a column",
    "topic": "a topic",
    "pair": "a value and a length",
    "groups": "a value, rows in groups of 5",
    "none": "none",
}
BASE, WORSE, MASS = 0.20, 0.15, 0.05
SIZES = {2_000: 150, 5_000: 200, 10_000: 400}
"""Rows -> draws of each kind."""
ENOUGH = 10_000
"""Rows from which on a planted slice must be found."""
SMOKE = {2_000: 4, 10_000: 4}
SEED = 20_261


@dataclass(frozen=True)
class Draw:
    """One made-up holdout."""

    features: list[Feature]
    loss: Floats
    groups: Ints | None
    planted: Bools


@dataclass
class Count:
    """What one finder did over all draws of a kind."""

    draws: int = 0
    found: int = 0
    shown: int = 0
    false: int = 0
    draws_with_false: int = 0

    def add(self, slices: Sequence[Bools], planted: Bools) -> None:
        false = sum(bool(2 * (inside & planted).sum() < inside.sum()) for inside in slices)
        hit = any(
            2 * (inside & planted).sum() >= max(inside.sum(), planted.sum()) and planted.any() for inside in slices
        )
        self.draws += 1
        self.found += hit
        self.shown += len(slices)
        self.false += false
        self.draws_with_false += false > 0


def draw(num_rows: int, kind: str, rng: np.random.Generator) -> Draw:
    """Rows with a planted slice of MASS of them (kind `none`: without)."""
    size = 5 if kind == "groups" else 1
    num_groups = num_rows // size
    spread = {"source": [0.4, 0.25, 0.15, 0.1, 0.05, 0.05], "country": [1 / 12] * 12, "device": [1 / 3] * 3}
    codes = {
        name: np.repeat(rng.choice(len(shares), num_groups, p=shares), size)
        for name, shares in {**spread, "month": [1 / 12] * 12, "topic": [1 / 20] * 20}.items()
    }
    words = np.round(np.exp(rng.normal(2.3, 0.6, num_rows))).clip(1)
    planted = {
        "value": codes["source"] == 5,
        "groups": codes["source"] == 5,
        "topic": codes["topic"] == 7,
        "pair": (codes["source"] == 1) & (words >= np.quantile(words, 0.8)),
    }.get(kind, np.zeros(num_rows, dtype=bool))
    chance = BASE + WORSE * planted
    if size > 1:  # half of a group's luck is common to its rows
        common = np.repeat(rng.random(num_groups), size)
        luck = np.where(rng.random(num_rows) < 0.5, common, rng.random(num_rows))
    else:
        luck = rng.random(num_rows)
    columns = {
        name: Column(tuple(f"{name} {code}" for code in range(values.max() + 1)), values.astype(np.int64))
        for name, values in codes.items()
    }
    groups = np.repeat(np.arange(num_groups), size).astype(np.int64) if size > 1 else None
    features = features_of(columns, {"words": words.tolist()}, MIN_ROWS)
    return Draw(features, (luck < chance).astype(float), groups, planted)


def ours(drawn: Draw, seed: int) -> list[Bools]:
    found = find_slices(drawn.features, drawn.loss, drawn.groups, seed=seed)
    return [rows_meeting(item.conditions, drawn.features, len(drawn.loss)) for item in found]


def worst_leaves(drawn: Draw) -> list[Bools]:
    """The peer: the worst leaves of one tree until they hold MASS of the rows."""
    table = np.stack([feature.values for feature in drawn.features], axis=1)
    tree = DecisionTreeRegressor(max_leaf_nodes=MAX_LEAVES, min_samples_leaf=MIN_ROWS, random_state=0)
    leaf = tree.fit(table, drawn.loss).apply(table)
    rates = {int(code): float(drawn.loss[leaf == code].mean()) for code in np.unique(leaf)}
    found: list[Bools] = []
    for code in sorted(rates, key=lambda code: -rates[code]):
        found.append(leaf == code)
        if sum(inside.sum() for inside in found) >= MASS * len(leaf):
            break
    return found


def measure(num_rows: int, kind: str, draws: int) -> tuple[Count, Count]:
    """Counts of our finder and of the peer, on the same draws."""
    rng = np.random.default_rng([SEED, num_rows, list(KINDS).index(kind)])
    mine, peers = Count(), Count()
    for seed in range(draws):
        drawn = draw(num_rows, kind, rng)
        mine.add(ours(drawn, seed), drawn.planted)
        peers.add(worst_leaves(drawn), drawn.planted)
    return mine, peers


def share(count: int, total: int) -> str:
    """A share in percent with its 95 % Wilson interval."""
    if not total:
        return "–"
    low, high = wilson(count, total)
    return f"{100 * count / total:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def line(num_rows: int, kind: str, mine: Count, peers: Count) -> str:
    cells = [f"{num_rows:,}", KINDS[kind], f"{mine.draws}"]
    for count in (mine, peers):
        cells += [
            "–" if kind == "none" else share(count.found, count.draws),
            "–" if kind == "none" else share(count.false, count.shown),
            share(count.draws_with_false, count.draws),
        ]
    return "| " + " | ".join(cells) + " |"


HEAD = [
    "| rows | planted slice | draws | found, % | false of those shown, % | draws with a false one, % "
    "| peer: found | peer: false | peer: draws |",
    "| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
]


def wanted(num_rows: int, kind: str, mine: Count) -> list[Wanted]:
    """What must hold where there are rows enough to find such a slice: from 10,000 on."""
    if num_rows < ENOUGH or kind == "none":
        return []
    what = f"{num_rows:,} rows, {KINDS[kind]}:"
    return [
        Wanted(f"{what} found, %", 100 * mine.found / mine.draws, least=90),
        Wanted(f"{what} false of those shown, %", 100 * mine.false / max(1, mine.shown), most=5),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a few draws")
    parser.add_argument("--render", action="store_true", help="write the table into docs/error-analysis.md")
    parser.add_argument("--share", type=float, default=1.0, help="of the draws")
    options = parser.parse_args()
    lines, figures, started = list(HEAD), [], time.monotonic()
    print("\n".join(lines), flush=True)
    for num_rows, draws in (SMOKE if options.smoke else SIZES).items():
        for kind in KINDS:
            mine, peers = measure(num_rows, kind, max(1, round(draws * options.share)))
            lines.append(line(num_rows, kind, mine, peers))
            figures += wanted(num_rows, kind, mine)
            print(lines[-1], flush=True)
    print(f"{time.monotonic() - started:.0f} s")
    if options.render:
        text = put_between(DOC.read_text(encoding="utf-8"), BEGIN, "\n".join(lines), END)
        DOC.write_text(text, encoding="utf-8")
    return exit_status([] if options.smoke else figures)


if __name__ == "__main__":
    sys.exit(main())
