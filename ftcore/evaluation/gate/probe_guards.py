"""Guards on probes: what a candidate must not have forgotten, must still refuse, must not make up more often."""

from __future__ import annotations

from collections.abc import Iterator

from ftcore.errors import num_of
from ftcore.evaluation.gate.comparison import judge_loss
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.findings import Finding, percent, points
from ftcore.evaluation.probes.measures import Measure
from ftcore.evaluation.statistics.differences import level_of
from ftcore.spec import GateSpec


def judge_probe_guards(gate: GateSpec, evidence: Evidence, alpha: float) -> Iterator[Finding]:
    """Each probe that the gate guards must not be worse than the champion's by more than its margin, at the full `alpha` as other
    guards; one that was not measured on both models is a HOLD."""
    known = {f"{item.probe}.{item.name}": item for item in evidence.probe_rows}
    for name, margin in (gate.probe_guards or {}).items():
        measure = known.get(name)
        if measure is None or not measure.is_defined("candidate", "champion"):
            told = ", ".join(known) or "none"
            yield Finding(
                "HOLD", f"The gate guards the probe {name}, which was not measured on both models; probes: {told}."
            )
        else:
            yield _judged(name, measure, margin, alpha, gate.power)


def _judged(name: str, measure: Measure, margin: float, alpha: float, power: float) -> Finding:
    seen = measure.difference("candidate", "champion", alpha)
    is_share = measure.kind == "share" or measure.ceiling == 1.0 and measure.kind == "ratio"
    show, move = (percent, points) if is_share else (_plain, _moved)
    allowed = "rise" if measure.less_is_better else "loss"
    what = (
        f"probe {name}: {show(seen.candidate)} against {show(seen.champion)}, {move(seen.difference)}, one-sided "
        f"{level_of(alpha)} bounds {move(seen.lower)} to {move(seen.upper)} on {num_of(seen.n, 'row')}; allowed {allowed} "
        f"{move(margin)}"
    )
    gain = seen.mirrored() if measure.less_is_better else seen
    return judge_loss(gain, margin, alpha, power, what, "ask about {}, or allow more")


def _plain(value: float) -> str:
    return f"{value:.3f}"


def _moved(value: float) -> str:
    return f"{value:+.3f}"
