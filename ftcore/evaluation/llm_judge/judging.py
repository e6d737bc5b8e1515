"""The judge's part of an evaluation: `llm_judge.json`, and `llm_judge_rows.jsonl` with its verdict on every pair.

Whatever goes wrong is told in the file and changes nothing else. The file has a score only if the judge agrees with people.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ftcore.data.reading import write_jsonl
from ftcore.errors import FtcoreError, UsageError
from ftcore.evaluation.llm_judge.asking import Asked, ask_all, conduct, score
from ftcore.evaluation.llm_judge.endpoint import Endpoint
from ftcore.evaluation.llm_judge.labels import kappa, read_labels
from ftcore.evaluation.llm_judge.protocol import prompt_digest
from ftcore.evaluation.llm_judge.telling import RESULT
from ftcore.evaluation.review import Pair, sample_pairs
from ftcore.records import canonical_json
from ftcore.spec import FineTuneSpec, LlmJudgeSpec
from ftcore.store import write_durable

ROWS = "llm_judge_rows.jsonl"
MAX_WITHOUT_VERDICT = 0.1
"""Share of pairs without two verdicts above which the score stays hidden: an answer that makes the judge fall silent must not
win by it."""


def judge_answers(spec: FineTuneSpec, evaluated: Path) -> dict[str, Any]:
    """Ask the spec's judge about the answers in the output of `evaluate`, and write both files there.

    Returns:
        What llm_judge.json says: `shown`, `why_hidden`, `score` (null where hidden), `agreement`, `conduct` and what was asked.

    Raises:
        StorageError: The files cannot be written.
    """
    settings = spec.evaluation.llm_judge
    assert settings is not None
    result: dict[str, Any] = {
        "shown": False, "why_hidden": "", "score": None, "agreement": None, "conduct": None, "num_calls": 0,
        "asked_for": settings.model, "prompt_digest": prompt_digest(settings.criteria), "min_kappa": settings.min_kappa,
    }  # fmt: skip
    rows: list[dict[str, Any]] = []
    try:
        rows = _judge(spec, settings, evaluated, result)
    except FtcoreError as error:
        result["why_hidden"] = " ".join([error.message, *error.details])
    except Exception as error:  # noqa: BLE001 (whatever it is: an opinion that is not there must not fail the evaluation)
        result["why_hidden"] = f"The judge could not be asked ({type(error).__name__})."
    if result["why_hidden"]:
        result |= {"shown": False, "score": None}
    write_jsonl(evaluated / ROWS, rows)
    write_durable(evaluated / RESULT, canonical_json(result))
    return result


def _judge(spec: FineTuneSpec, settings: LlmJudgeSpec, evaluated: Path, result: dict[str, Any]) -> list[dict[str, Any]]:
    """Fills `result`; returns the rows of the file."""
    labelled, choices = read_labels(spec.at(settings.labels)) if settings.labels else ([], {})
    room = settings.max_calls // 2 - len(labelled)
    if room < 1:
        wanted = f"{2 * len(labelled) + 2:,}, for {len(labelled):,} pairs of people and one more in both orders"
        raise UsageError(f"evaluation.llm_judge.max_calls is {settings.max_calls:,}; wanted at least {wanted}.")
    pairs = sample_pairs(evaluated, min(settings.rows, room), settings.seed)
    endpoint = Endpoint(settings)
    try:
        by_people = ask_all(labelled, endpoint, settings)
        asked = ask_all(pairs, endpoint, settings)
    finally:
        endpoint.close()
    told = conduct([*by_people, *asked])
    agreement = _agreement(by_people, choices)
    result |= {"conduct": told, "agreement": agreement, "num_calls": endpoint.num_calls, "score": score(pairs, asked)}
    result["why_hidden"] = _why_hidden(settings, result, len(pairs))
    result["shown"] = not result["why_hidden"]
    if not result["shown"]:  # with each verdict and who stood first, the score would be a sum away
        return []
    return [_row(pair, item) for pair, item in zip(pairs, asked, strict=True)]


def _agreement(asked: list[Asked], choices: Mapping[int, str]) -> dict[str, Any] | None:
    if not choices:
        return None
    return {
        "kappa": kappa(asked, choices),
        "num_labels": len(choices),
        "num_judged": sum(item.choice is not None for item in asked),
    }


def _why_hidden(settings: LlmJudgeSpec, result: Mapping[str, Any], num_pairs: int) -> str:
    """Empty: nothing speaks against showing the score."""
    found, told, agreement = result["score"], result["conduct"], result["agreement"]
    faults = "; ".join(told["faults"])
    if found is None:
        return f"There is no verdict on any pair{f': {faults}' if faults else ''}."
    missing = 1 - found["num_rows"] / num_pairs
    if missing > MAX_WITHOUT_VERDICT:
        reason = faults or "replies that are no verdict"
        return f"{missing:.0%} of the pairs have no verdict, more than {MAX_WITHOUT_VERDICT:.0%} ({reason})."
    if agreement is None:
        return "Nobody knows whether this judge agrees with people: evaluation.llm_judge.labels names no pairs."
    if agreement["num_judged"] < settings.min_labels:
        return f"The judge was held against {agreement['num_judged']} choices of people; wanted {settings.min_labels} or more."
    if len(told["models"]) > 1:
        return f"{len(told['models'])} models answered; agreement of one says nothing about another."
    if agreement["kappa"] is None:
        return "Agreement with people has no meaning: judge and people made one choice throughout."
    if agreement["kappa"] < settings.min_kappa:
        return f"Agreement with people is too low: kappa {agreement['kappa']:.2f}, wanted {settings.min_kappa:g}."
    return ""


def _row(pair: Pair, item: Asked) -> dict[str, Any]:
    """Verdicts as given, on the pair with the candidate's answer first or second; no text."""
    return {
        "id": pair.row_id, "candidate_first": pair.candidate_first, "verdicts": list(item.verdicts), "choice": item.choice,
    }  # fmt: skip
