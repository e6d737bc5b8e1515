"""The gate: PASS, FAIL, NOT ENOUGH EVIDENCE or HOLD, as a pure function of predictions and thresholds.

FAIL is about the candidate: it is not better, or worse somewhere. NOT ENOUGH EVIDENCE is about the rows: it says how many to
label. HOLD is about everything else: something is not as it should be, and a person should look. All checks are made and every
reason is reported, not only the first; FAIL comes before HOLD, HOLD before NOT ENOUGH EVIDENCE:

1. integrity (HOLD, and nothing else is looked at): faulty input, no rows, other rows, a metric that is missing or no number, a
   slice that the gate names and no row belongs to, a champion that has changed meanwhile, a candidate that is the champion or
   answers every row as it does, a holdout that is worn out (looks.py);
2. floors: each metric named in `floors` reaches its minimum, else FAIL; rows that must pass, canaries, size and
   speed: else FAIL;
3. baselines: `min_over_baseline` above the best one, else HOLD; and its lower bound above 0, else NOT ENOUGH EVIDENCE; above the
   model that the champion replaced (a baseline of its own) by `min_gain`, with a lower bound above -margin, likewise;
4. power: fewer than `min_rows` rows are NOT ENOUGH EVIDENCE;
5. the difference d to the champion on the same rows:
   PASS              d >= min_gain and the one-sided lower bound of d above -margin
   FAIL              the one-sided upper bound of d below min_gain (a worthwhile gain is ruled out), or at least
                     n_needed rows, and no gain of min_gain seen
   NOT ENOUGH EVIDENCE   otherwise: fewer than n_needed rows and no clear effect; the reason says how many to label;
6. strict: two-sided exact McNemar p (with groups: sign-flip p; other metrics: permutation p) below alpha. Two-sided, as McNemar's
   test is defined and other libraries print it, and half as lenient as with a one-sided p;
7. guards: the lower bound of each above minus its own margin; FAIL where the loss is shown, else NOT ENOUGH EVIDENCE;
   `max_broken`: not more rows right before and wrong now, else FAIL;
8. slices: none blocked (see slices.py).

Generated text takes the same steps with the gate's metric of text (chrf, bleu, rouge_l, exact_match, inverse_perplexity: all are
fractions, higher is better), paired by row in a bootstrap and a permutation test; likelihoods per token are compared only
between models that split the references into the same number of tokens.

Every bound is one-sided and at 1 - `alpha`: 95 % by default. The k-th decision on the same holdout has
bounds at 1 - alpha / k and needs the rows that such bounds take, except in slices, where a lower level would let more harm pass.

Why fewer than n_needed rows may PASS. n_needed is the number of rows on which a gain of `min_gain` is told from none with
the wanted power: often tens of thousands. Power protects against missing a gain, not against promoting a worse model: the lower
bound does that at any n, because it widens as rows become fewer. With n rows and discordance p, PASS takes a gain of about
1.645 sqrt(p/n) - margin: 15 points on 600 rows pass easily, 1 point on 600 rows seldom does. A model that is worse by `margin`
or more is promoted with a probability of about alpha at most, whatever n. Measured figures: docs/decision-statistics.md.

An equally good candidate passes more often than 5 %: no harm by definition. Where even that is unwanted, `margin: 0` asks for a
gain shown at 95 %, and `strict: true` for McNemar's p.
"""

from __future__ import annotations

from ftcore.evaluation.gate.checks import (
    judge_baselines,
    judge_canaries,
    judge_first,
    judge_floors,
    judge_limits,
    judge_named_slices,
    judge_pinned,
    judge_previous,
    judge_slices,
)
from ftcore.evaluation.gate.comparison import comparison_of, judge_broken_rows, judge_difference, judge_guards
from ftcore.evaluation.gate.evidence import Evidence
from ftcore.evaluation.gate.findings import Judgement, conclude
from ftcore.evaluation.gate.integrity import faults_of
from ftcore.evaluation.gate.looks import alpha_at
from ftcore.evaluation.gate.measures import compared, difference
from ftcore.evaluation.gate.probe_guards import judge_probe_guards
from ftcore.evaluation.gate.slices import compare_slices
from ftcore.spec import GateSpec


def judge(gate: GateSpec, evidence: Evidence, *, show_others: bool = True) -> Judgement:
    """Weigh the evidence. Never raises for bad evidence: that is a HOLD with its reason.

    Args:
        show_others: Also compare on the metrics that do not decide, for people; takes most of the time.
    """
    faults = faults_of(gate, evidence)
    if faults:
        return Judgement("HOLD", tuple(faults), looked=False)
    holdout, alpha = evidence.holdout, alpha_at(evidence.look, gate.alpha)
    absolute = [
        *judge_floors(gate, holdout),
        *judge_baselines(gate, evidence, alpha),
        *judge_previous(gate, evidence, alpha),
        *judge_pinned(evidence),
        *judge_named_slices(gate, holdout),
        *judge_canaries(evidence),
        *judge_limits(gate, evidence),
    ]
    if not evidence.has_champion:
        return conclude([*judge_first(gate, evidence), *absolute])
    others = compared(holdout) if show_others else []
    names = list(dict.fromkeys([gate.metric, *others]))
    differences = [difference(holdout, name, "champion", alpha) for name in names]
    slices = compare_slices(holdout, gate)
    findings = [
        *judge_difference(gate, differences[0], alpha),
        *absolute,
        *judge_guards(gate, holdout, alpha),
        *judge_probe_guards(gate, evidence, alpha),
        *judge_broken_rows(gate, holdout),
        *judge_slices(gate, holdout, slices),
    ]
    return conclude(findings, tuple(comparison_of(gate, item, alpha) for item in differences), slices)
