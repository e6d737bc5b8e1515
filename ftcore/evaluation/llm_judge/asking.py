"""Pairs put to the judge in both orders, and what it makes of them as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from ftcore.evaluation.llm_judge.endpoint import Endpoint, Reply
from ftcore.evaluation.llm_judge.protocol import both_orders, merge, read_verdict
from ftcore.evaluation.review import Pair, weigh
from ftcore.spec import LlmJudgeSpec


@dataclass(frozen=True)
class Asked:
    """What the judge said about one pair."""

    replies: tuple[Reply, Reply]
    """On the pair as it is, and with the answers swapped."""
    verdicts: tuple[str | None, str | None]
    """A, B, tie, or None where the reply is no verdict."""

    @property
    def choice(self) -> str | None:
        """Of the pair as it is; tie where the verdicts contradict each other; None where there are not two."""
        return merge(*self.verdicts)

    @property
    def is_inconsistent(self) -> bool:
        return self.choice == "tie" and self.verdicts != ("tie", "tie")


def ask_all(pairs: Sequence[Pair], endpoint: Endpoint, settings: LlmJudgeSpec) -> list[Asked]:
    """Both orders of every pair, several at a time; in the order of `pairs`."""

    def ask(pair: Pair) -> Asked:
        first, second = (endpoint.ask(conversation) for conversation in both_orders(pair, settings.criteria))
        verdicts = (_verdict(first), _verdict(second))
        return Asked((first, second), verdicts)

    with ThreadPoolExecutor(settings.max_concurrency, thread_name_prefix="llm-judge") as pool:
        return list(pool.map(ask, pairs))


def _verdict(reply: Reply) -> str | None:
    return None if reply.text is None else read_verdict(reply.text)


def conduct(asked: Sequence[Asked]) -> dict[str, Any]:
    """How the judge behaved, whoever won: shares of the pairs and of the verdicts, None where there is nothing to divide by."""
    replies = [reply for item in asked for reply in item.replies]
    answered = [reply for reply in replies if reply.text is not None]
    verdicts = Counter(verdict for item in asked for verdict in item.verdicts if verdict is not None)
    judged = [item for item in asked if item.choice is not None]
    return {
        "num_pairs": len(asked),
        "num_judged": len(judged),
        "share_inconsistent": _share(sum(item.is_inconsistent for item in judged), len(judged)),
        "share_unparsable": _share(len(answered) - verdicts.total(), len(answered)),
        "share_unanswered": _share(len(replies) - len(answered), len(replies)),
        "share_a": _share(verdicts["A"], verdicts["A"] + verdicts["B"]),
        "models": sorted({reply.model for reply in answered if reply.model}),
        "faults": dict(Counter(reply.fault for reply in replies if reply.fault).most_common(5)),
    }


def score(pairs: Sequence[Pair], asked: Sequence[Asked]) -> dict[str, Any] | None:
    """Wins, losses, ties, win rate with interval, sign test; None where no pair has a verdict.

    Pairs without two verdicts are left out, and none is guessed.
    """
    choices = {number: item.choice for number, item in enumerate(asked, start=1) if item.choice is not None}
    if not choices:
        return None
    seen = asdict(weigh(pairs, [choices]))
    return {name: seen[name] for name in ("num_rows", "win_rate", "ci_low", "ci_high", "p_value")} | {
        "wins": seen["candidate"], "losses": seen["champion"], "ties": seen["tied"],
    }  # fmt: skip


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
