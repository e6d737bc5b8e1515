"""A small profile of a data version, kept so that the next one can be compared with it. No row text is in it.

    {"splits": {"train": {"num_rows": 2, "labels": {"a": 0.5, "b": 0.5}, "length": [3, 5, 8], "num_words": 11,
                          "words": [...], "sources": ["chat"]}}}

`labels` are shares, `length` the quartiles of words per row, `words` the share of words in each of 256 hash buckets: enough to
see a change of vocabulary, too little to read it back.
"""

from __future__ import annotations

import json
import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftcore.errors import UsageError
from ftcore.spec import Split

_BUCKETS = 256
_KEYS = {"num_rows", "labels", "length", "num_words", "words", "sources"}
_WORD = re.compile(r"\w+")
Row = Mapping[str, Any]


def profile_splits(splits: Mapping[Split, Sequence[Row]]) -> dict[str, Any]:
    """Profile of a data version: plain JSON, about 2 KB per split and 30 bytes per label."""
    return {"splits": {split: profile_split(rows) for split, rows in splits.items()}}


def profile_split(rows: Sequence[Row]) -> dict[str, Any]:
    """Profile of one split; rows without text, label or source count where they have something."""
    buckets = [0] * _BUCKETS
    lengths = []
    for row in rows:
        words = _WORD.findall(str(row.get("text") or "").casefold())
        lengths.append(len(words))
        for word in words:
            buckets[zlib.crc32(word.encode()) % _BUCKETS] += 1
    labels = Counter(str(row["label"]) for row in rows if row.get("label"))
    total = sum(buckets) or 1
    return {
        "num_rows": len(rows),
        "labels": {label: round(count / labels.total(), 6) for label, count in sorted(labels.items())},
        "length": _quartiles(lengths),
        "num_words": sum(buckets),
        "words": [round(count / total, 6) for count in buckets],
        "sources": sorted({str(row["source"]) for row in rows if row.get("source")}),
    }


def read_profile(path: Path) -> dict[str, Any]:
    """A profile as `profile_splits` made it.

    Raises:
        UsageError: It is missing or no profile.
    """
    hint = "copy profile.json of an accepted validation there, or unset validation.accepted"
    try:
        profile: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        complete = [profile["splits"][split].keys() >= _KEYS for split in profile["splits"]]
    except FileNotFoundError:
        raise UsageError(f"No profile at {path} (validation.accepted).", hint=hint) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(f"Cannot read the profile {path}: {type(error).__name__}.", hint=hint) from None
    if not all(complete):
        raise UsageError(f"{path} is no profile of a data version; wanted {', '.join(sorted(_KEYS))}.", hint=hint)
    return profile


@dataclass(frozen=True)
class Change:
    """How far one profile is from another."""

    size: float
    """Rows now over rows then (over 1 if there were none)."""
    label_shift: float
    """Total variation of label shares, 0 to 1, less what two samples of one population differ by on average."""
    length: float
    """Largest factor between quartiles of words per row, 1: the same."""
    vocabulary: float
    """Jensen-Shannon divergence of the word buckets in bits, 0 to 1, less what two samples of one population differ by."""


def compare_profiles(before: Mapping[str, Any], now: Mapping[str, Any]) -> Change:
    """What has changed between two profiles of the same split."""
    pairs = zip(before["length"], now["length"], strict=True)
    length = max(max((then + 1) / (today + 1), (today + 1) / (then + 1)) for then, today in pairs)
    size = float(now["num_rows"]) / max(1, before["num_rows"])
    return Change(size, _label_shift(before, now), length, _vocabulary_shift(before, now))


def _label_shift(before: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """Rare labels vary from sample to sample: the mean of |p - q| under no change is sqrt(2 / pi) standard deviations."""
    scale = 1 / max(1, before["num_rows"]) + 1 / max(1, now["num_rows"])
    shift = noise = 0.0
    for label in before["labels"].keys() | now["labels"].keys():
        then, today = before["labels"].get(label, 0.0), now["labels"].get(label, 0.0)
        shift += abs(then - today) / 2
        noise += math.sqrt(2 / math.pi * (middle := (then + today) / 2) * (1 - middle) * scale) / 2
    return max(0.0, shift - noise)


def _vocabulary_shift(before: Mapping[str, Any], now: Mapping[str, Any]) -> float:
    """Under no change the divergence is chi-square over its sample sizes: on average (buckets - 1) / (8 ln 2) of them."""
    noise: float = (_BUCKETS - 1) / (8 * math.log(2)) * (1 / max(1, before["num_words"]) + 1 / max(1, now["num_words"]))
    return max(0.0, _divergence(before["words"], now["words"]) - noise)


def _quartiles(lengths: Sequence[int]) -> list[int]:
    ordered = sorted(lengths) or [0]
    return [ordered[int(len(ordered) * share)] for share in (0.25, 0.5, 0.75)]


def _divergence(first: Sequence[float], second: Sequence[float]) -> float:
    total = 0.0
    for one, other in zip(first, second, strict=True):
        middle = (one + other) / 2
        total += sum(share * math.log2(share / middle) for share in (one, other) if share > 0) / 2
    return total
