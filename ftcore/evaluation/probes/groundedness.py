"""Do answers keep to what they were given? Counted by rules, offline; what a rule flags need not be wrong.

A shop's answer may state its refund period rightly though no customer wrote it. So no share is good or bad by itself: it is
compared between models on the same rows, and with the reference answers, which are right and have a share of their own. The
kinds are those of consistency checks of summaries: numbers and entities (Nan et al. 2021, "Entity-level factual consistency of
abstractive text summarization"), novel n-grams (See et al. 2017, "Get to the point").
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ftcore.evaluation.probes.facts import Facts, facts_of, source_of, unsupported
from ftcore.evaluation.probes.measures import Measure, ratio, share
from ftcore.evaluation.rows import Ints

_HOUSE_SHARE = 0.05
"""Names in so many of the true answers are the house's own, as its signature: no model is told off for them."""
_WHAT = {
    "numbers": "answers with a number that their prompt lacks",
    "dates": "answers with a date that their prompt lacks",
    "entities": "answers with a name, code or address that their prompt lacks",
    "ngrams": "word triples of the answers that their prompts lack",
}


def groundedness(prompts: Sequence[str], answers: Mapping[str, Sequence[str]], groups: Ints | None) -> list[Measure]:
    """Unsupported facts of each model's answers.

    Args:
        prompts: What was asked, one per row.
        answers: By role, `reference` for the true ones.
    """
    sources = [source_of(prompt) for prompt in prompts]
    facts = {role: [facts_of(text) for text in texts] for role, texts in answers.items()}
    house = house_names(facts.get("reference", ()))
    counts = {
        role: [
            unsupported(replace(stated, entities=stated.entities - house), source)
            for stated, source in zip(found, sources, strict=True)
        ]
        for role, found in facts.items()
    }
    found = []
    for name, what in _WHAT.items():
        if name == "ngrams":
            rows = {
                role: ratio(*map(list, zip(*(row[name] for row in seen), strict=True))) for role, seen in counts.items()
            }
        else:
            rows = {role: share([row[name][0] > 0 for row in seen]) for role, seen in counts.items()}
        kind = "ratio" if name == "ngrams" else "share"
        found.append(Measure("groundedness", name, what, rows, kind, groups))  # type: ignore[arg-type]
    return found


def house_names(references: Sequence[Facts]) -> frozenset[str]:
    """Names that two or more, and one in twenty, of the true answers have."""
    seen = Counter(name for facts in references for name in facts.entities)
    return frozenset(name for name, count in seen.items() if count >= max(2, _HOUSE_SHARE * len(references)))
