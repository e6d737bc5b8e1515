"""What people are told about a judge's opinion: one sentence, for verdict.md, the error report and logs.

Needs neither HTTP nor the judge's settings: whether there is a score to show was decided when the file was written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftcore.evaluation.markdown import escape

RESULT = "llm_judge.json"


def read_result(evaluated: Path) -> dict[str, Any] | None:
    """llm_judge.json of an evaluation; None where no judge was asked, or the file cannot be read."""
    try:
        found = json.loads((evaluated / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def summary(result: Mapping[str, Any]) -> str:
    """One sentence. A score that is hidden is not in it; why it is hidden is."""
    name = _name(result)
    found = result.get("score")
    if not result.get("shown") or found is None:
        return f"{name}: score hidden. {result.get('why_hidden') or 'It was not made known.'}"
    told, agreement = result["conduct"], result["agreement"]
    return (
        f"{name} on {found['num_rows']:,} rows: candidate better on {found['wins']}, champion on {found['losses']}, "
        f"{found['ties']} tied; win rate {found['win_rate']:.1%} ({found['ci_low']:.1%} to {found['ci_high']:.1%}), two-sided "
        f"p = {found['p_value']:.2g}. Kappa with people {agreement['kappa']:.2f} on {agreement['num_judged']:,} pairs; "
        f"{_percent(told['share_inconsistent'])} of pairs contradict themselves in the other order (ties), "
        f"{_percent(told['share_unparsable'])} of replies are no verdict, A in {_percent(told['share_a'])} of the rest."
    )


def markdown(evaluated: Path) -> str:
    """A section of verdict.md; empty where no judge was asked."""
    result = read_result(evaluated)
    if result is None:
        return ""
    return f"\n## What a language model thinks\n\nIt decides nothing. {escape(summary(result))}\n"


def _name(result: Mapping[str, Any]) -> str:
    models = (result.get("conduct") or {}).get("models") or [result.get("asked_for", "")]
    return f"LLM judge {', '.join(str(name) for name in models)}"


def _percent(share: float | None) -> str:
    return "none" if share is None else f"{share:.0%}"
