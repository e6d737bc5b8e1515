"""One decision on independent rows: who is promoted, by true difference and number of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from benchmarks.gate.draws import DISCORDANCE, holdout_of_right, paired
from benchmarks.gate.report import Show, Target, at_least, at_most, percent, points
from benchmarks.gate.rules import DEFAULT, RULES, STRICT, verdict
from benchmarks.gate.scale import Scale
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.judge import judge
from ftcore.evaluation.rows import Holdout
from ftcore.evaluation.statistics.power import rows_needed

EFFECTS = (-0.03, -0.02, -0.01, 0.0, 0.01, 0.02, 0.03, 0.05)
WORSE, BETTER = -0.01, 0.02


def promoted(
    rng: np.random.Generator, effects: Sequence[float], num_rows: int, times: int, discordance: float = DISCORDANCE
) -> dict[str, Counter[float]]:
    """By rule: how many of `times` decisions promote, by true difference. All rules see the same draws."""
    found: dict[str, Counter[float]] = {name: Counter() for name in RULES}
    for effect in effects:
        for _ in range(times):
            holdout = paired(rng, num_rows, effect, discordance)
            for name, rule in RULES.items():
                found[name][effect] += rule(holdout)
    return found


def single(rng: np.random.Generator, scale: Scale) -> Show:
    """The rules side by side on 2,000 rows."""
    times = scale.decisions
    found = promoted(rng, EFFECTS, 2000, times)
    rows = tuple((name, *(percent(counts[effect] / times) for effect in EFFECTS)) for name, counts in found.items())
    gate, strict = found["gate"], found["gate, strict"]
    targets = (
        at_most("2,000 rows: a model 1 point worse is promoted", 0.015, gate[WORSE], times),
        at_most("2,000 rows, strict: a model 1 point worse is promoted", 0.001, strict[WORSE], times),
        at_most("2,000 rows: a gain of 2 points is missed", 0.06, times - gate[BETTER], times),
    )
    about = (
        f"Share promoted of {times:,} decisions per column, by true difference in points. 2,000 rows, champion 80 % right, "
        "discordance 12 %."
    )
    return Show("single", about, ("rule", *(points(effect) for effect in EFFECTS)), rows, targets)


def by_rows(rng: np.random.Generator, scale: Scale) -> Show:
    """The gate alone, with more and fewer rows and more and less discordance."""
    lines, effects = [], (WORSE, 0.0, 0.01, BETTER, 0.05)
    for num_rows in (600, 1000, 2000, 5000):
        for discordance in (0.06, 0.12, 0.2):
            found = promoted(rng, effects, num_rows, scale.some, discordance)
            cells = [
                f"{percent(found['gate'][effect] / scale.some)} / {percent(found['gate, strict'][effect] / scale.some)}"
                for effect in effects
            ]
            lines.append((f"{num_rows:,}", f"{100 * discordance:.0f} %", *cells))
    about = f"Share promoted of {scale.some:,} decisions, gate / strict, by true difference in points."
    return Show("by_rows", about, ("rows", "discordance", *(points(effect) for effect in effects)), tuple(lines))


def few_rows(rng: np.random.Generator, scale: Scale) -> Show:
    """With few rows the answer is NOT ENOUGH EVIDENCE, until the effect is large."""
    lines, targets, times = [], [], scale.some
    for num_rows in (50, 100, 300):
        passed: Counter[float] = Counter()
        smallest = 1.0
        for effect in (-0.05, 0.0, 0.02, 0.05, 0.1, 0.2):
            seen: Counter[str] = Counter()
            for _ in range(times):
                holdout = paired(rng, num_rows, effect)
                outcome = verdict(DEFAULT, holdout)
                seen[outcome] += 1
                if outcome == "PASS":
                    smallest = min(smallest, _gain(holdout))
            passed[effect] = seen["PASS"]
            shares = (percent(seen[name] / times) for name in ("PASS", "NOT ENOUGH EVIDENCE", "FAIL"))
            lines.append((f"{num_rows:,}", points(effect), *shares))
        if num_rows < DEFAULT.min_rows:
            targets.append(at_most(f"{num_rows} rows: promoted, whatever the effect", 0.0, passed.total(), 6 * times))
        else:
            what = f"{num_rows} rows: smallest gain seen that passes"
            targets.append(Target(what, "at least 2 points", f"{100 * smallest:.2f} points", smallest >= 0.02))
            targets.append(at_least(f"{num_rows} rows: a gain of 10 points passes", 0.95, passed[0.1], times))
            targets.append(at_most(f"{num_rows} rows: a model 5 points worse is promoted", 0.001, passed[-0.05], times))
    head = ("rows", "true difference", "PASS", "NOT ENOUGH EVIDENCE", "FAIL")
    return Show(
        "few_rows",
        f"{times:,} decisions per line, discordance 12 % (at 20 points: 24 %).",
        head,
        tuple(lines),
        tuple(targets),
    )


def _gain(holdout: Holdout) -> float:
    right = {role: float((codes == holdout.target).mean()) for role, codes in holdout.predictions.items()}
    return right["candidate"] - right["champion"]


def same_model(rng: np.random.Generator, scale: Scale) -> Show:
    """The champion itself, handed in again and again, each time with fresh rows."""
    times = 50
    names = ("the same digest", "another digest, the same answers")
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    for _ in range(times):
        right = rng.random(2000) < 0.8
        holdout = holdout_of_right(rng, right, right)
        for name, digest in zip(names, ("same", "other"), strict=True):
            evidence = Evidence(holdout, candidate_digest=digest, champion_digest="same")
            for rule, gate in (("gate", DEFAULT), ("gate, strict", STRICT)):
                counts[name][rule] += judge(gate, evidence, show_others=False).outcome == "PASS"
            counts[name]["new >= old"] += RULES["new >= old"](holdout)
    rows = tuple(
        (name, *(str(counts[name][rule]) for rule in ("new >= old", "gate", "gate, strict"))) for name in names
    )
    totals = {name: counts[name]["gate"] + counts[name]["gate, strict"] for name in names}
    targets = tuple(
        Target(f"{name}, {times} times: promotions", "0", str(total), total == 0) for name, total in totals.items()
    )
    about = f"Promotions of {times}, 2,000 fresh rows each."
    return Show("same_model", about, ("handed in", "new >= old", "gate", "gate, strict"), rows, targets)


def power(rng: np.random.Generator, scale: Scale) -> Show:
    """A formula, no simulation: rows that a gain takes."""
    gains = (0.005, 0.01, 0.02, 0.03, 0.05, 0.1)
    rows = tuple(
        (f"{100 * discordance:.0f} %", *(_needed(discordance, gain) for gain in gains))
        for discordance in (0.02, 0.06, 0.12, 0.2, 0.3)
    )
    head = ("discordance", *(f"{points(gain)} points" for gain in gains))
    return Show("power", "Rows with which McNemar's test sees a true gain 4 times in 5, one-sided at 5 %.", head, rows)


def _needed(discordance: float, gain: float) -> str:
    """Empty where models that differ so little cannot have such a gain."""
    return f"{rows_needed(discordance, gain, DEFAULT.alpha, DEFAULT.power):,}" if discordance >= gain else ""
