"""Decisions on rows that are not all alike: slices that get worse, and rows in groups."""

from __future__ import annotations

import dataclasses
from collections import Counter

import numpy as np

from benchmarks.gate.draws import grouped, paired, sliced, with_columns
from benchmarks.gate.report import Show, at_least, at_most, percent, points
from benchmarks.gate.rules import DEFAULT, STRICT, mcnemar, verdict
from benchmarks.gate.scale import Scale
from ftcore.evaluation.gate.slices import compare_slices
from ftcore.evaluation.rows import Holdout

SIZE, DROP, NUM_ROWS, OVERALL = 200, -0.08, 2000, 0.01


def slices(rng: np.random.Generator, scale: Scale) -> Show:
    """A slice of 200 rows that falls by 8 points while all rows together gain 1; and slices that do not fall."""
    times, lines, targets = scale.slices, [], []
    rest = (NUM_ROWS * OVERALL - SIZE * DROP) / (NUM_ROWS - SIZE)
    for num in (2, 5, 10):
        sizes = [SIZE, *np.full(num - 1, (NUM_ROWS - SIZE) // (num - 1)).tolist()]
        cases = {
            "one falls by 8": [DROP] + [rest] * (num - 1),
            "none falls: all +1": [OVERALL] * num,
            "none falls: all 0": [0.0] * num,
            "none falls: one 0, the others more": [0.0] + [NUM_ROWS * OVERALL / (NUM_ROWS - SIZE)] * (num - 1),
        }
        for case, differences in cases.items():
            blocked, limit = 0, 0
            for _ in range(times):
                holdout = sliced(rng, sizes, differences)
                wanted = {"s0"} if case == "one falls by 8" else None
                blocked += any(
                    item.blocked and (wanted is None or item.value in wanted)
                    for item in compare_slices(holdout, DEFAULT)
                )
                limit += _beyond(holdout, wanted)
            lines.append((str(num), case, percent(blocked / times), percent(limit / times)))
            what = f"{num} slices, {case}: "
            if case == "one falls by 8":
                targets.append(at_least(what + "caught", 0.9, blocked, times))
            else:
                targets.append(at_most(what + "blocked", 0.05, blocked, times))
    about = (
        f"Share of {times:,} decisions in which the slice (where none falls: any slice) is blocked. 2,000 rows, 200 of them "
        "in the first slice, the others alike; discordance 12 % in each. Beside it a plain limit: a drop of more than 5 points."
    )
    return Show("slices", about, ("slices", "truth", "gate", "limit of 5 points"), tuple(lines), tuple(targets))


def slice_cost(rng: np.random.Generator, scale: Scale) -> Show:
    """What it costs a gain to be looked at slice by slice: the same draws without slices and with them."""
    times, effects = scale.some, (-0.01, 0.0, 0.02, 0.03)
    columns = {"none": {}, "8 sources": {"source": 8}, "8 sources, 15 labels": {"source": 8, "label": 15}}
    passed = {name: Counter[float]() for name in columns}
    for effect in effects:
        for _ in range(times):
            holdout = paired(rng, NUM_ROWS, effect)
            for name, sizes in columns.items():
                passed[name][effect] += verdict(DEFAULT, with_columns(rng, holdout, sizes)) == "PASS"
    lines = tuple((name, *(percent(found[effect] / times) for effect in effects)) for name, found in passed.items())
    about = (
        f"Share promoted of {times:,} decisions per column, by true difference in points, which is the same in every slice. "
        "2,000 rows, discordance 12 %; same draws in every line."
    )
    return Show("slice_cost", about, ("slices", *(points(effect) for effect in effects)), lines)


def slice_power(rng: np.random.Generator, scale: Scale) -> Show:
    """How large a loss is seen on how many rows."""
    times, lines, drops = max(2, scale.some // 2), [], (0.04, 0.08, 0.12, 0.2)
    for size in (100, 200, 400, 800):
        for discordance in (0.12, 0.2):
            cells = []
            for drop in drops:
                rest = (NUM_ROWS * OVERALL + size * drop) / (NUM_ROWS - size)
                differences = [-drop, *[rest] * 4]
                sizes = [size, *[(NUM_ROWS - size) // 4] * 4]
                holdouts = (sliced(rng, sizes, differences, discordance) for _ in range(times))
                found = (compare_slices(holdout, DEFAULT) for holdout in holdouts)
                caught = sum(any(item.blocked and item.value == "s0" for item in items) for items in found)
                cells.append(percent(caught / times))
            lines.append((f"{size}", f"{100 * discordance:.0f} %", *cells))
    about = (
        f"Share of {times:,} decisions in which a slice is blocked, by its true loss in points: one of five slices of "
        "2,000 rows, which together gain 1 point. (A loss larger than the discordance: discordance 4 points above it.)"
    )
    return Show(
        "slice_power", about, ("rows of the slice", "discordance", *(points(-drop) for drop in drops)), tuple(lines)
    )


def _beyond(holdout: Holdout, wanted: set[str] | None) -> bool:
    """Whether any slice (any wanted one) drops by more than 5 points."""
    column = (holdout.slices or {})["source"]
    right = [(holdout.predictions[role] == holdout.target).astype(float) for role in ("candidate", "champion")]
    sums = [np.bincount(column.codes, weights=values) for values in right]
    drops = (sums[0] - sums[1]) / np.bincount(column.codes) < -0.05
    return any(
        bool(drop) for value, drop in zip(column.values, drops, strict=True) if wanted is None or value in wanted
    )


def groups(rng: np.random.Generator, scale: Scale) -> Show:
    """Rows that go together: the gate reads `group`; the same rule that does not, and McNemar's test."""
    times, lines, targets = max(2, scale.some // 2), [], []
    names = ("gate", "gate, strict", "gate without groups", "McNemar p < .05")
    for num_groups, size in ((400, 5), (20, 100)):
        for effect in (-0.01, -0.005, 0.0, 0.02):
            seen: Counter[str] = Counter()
            for _ in range(times):
                holdout = grouped(rng, num_groups, size, effect)
                alone = dataclasses.replace(holdout, groups=None)
                seen["gate"] += verdict(DEFAULT, holdout) == "PASS"
                seen["gate, strict"] += verdict(STRICT, holdout) == "PASS"
                seen["gate without groups"] += verdict(DEFAULT, alone) == "PASS"
                seen["McNemar p < .05"] += mcnemar(alone)
            lines.append((f"{num_groups} x {size}", points(effect), *(percent(seen[name] / times) for name in names)))
            where = f"{num_groups} groups of {size} rows"
            if effect == -0.01:
                targets.append(at_most(f"{where}: a model 1 point worse is promoted", 0.05, seen["gate"], times))
            if effect == 0.0:
                targets.append(
                    at_most(f"{where}, strict: an equal model is promoted", 0.05, seen["gate, strict"], times)
                )
    about = (
        f"Share promoted of {times:,} decisions on 2,000 rows in groups. Where the models differ they differ by group: "
        "correlation of two wins in a group about 0.5; discordance 12 %."
    )
    return Show("groups", about, ("groups x rows", "true difference", *names), tuple(lines), tuple(targets))
