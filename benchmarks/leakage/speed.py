"""Time and peak memory, each measurement in a process of its own; rows of 30 to 50 random words, made while they are read."""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

from benchmarks.leakage.corpora import zipf_words

NUM_TEST = 2_000
_EDIT_EVERY = 1_000


def report() -> None:
    """100,000 rows beside datasketch, then 10,000 to 1,000,000 rows alone."""
    print(f"\nSpeed: train rows of 30 to 50 words against {NUM_TEST:,} test rows")
    ours, theirs = measure("ftcore", 100_000), measure("datasketch", 100_000)
    for name, seen in (("ftcore", ours), ("datasketch", theirs)):
        print(f"  100,000 rows: {name:<11}{seen['seconds']:>7.1f} s {seen['mb']:>7,.0f} MB")
    print(f"  datasketch takes {theirs['seconds'] / ours['seconds']:.1f} times as long")
    for num in (10_000, 100_000, 1_000_000):
        seen = measure("ftcore", num)
        print(f"  {num:>9,} rows: {seen['seconds']:>6.1f} s, {seen['seconds'] / num * 1e6:>5.1f} us a row, "
              f"{seen['mb']:>5,.0f} MB, {seen['found']} of {seen['planted']} planted copies found")  # fmt: skip


def measure(method: str, num: int) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.leakage.speed", method, str(num)]
    answer: dict[str, float] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return answer


def stream(num: int, test: list[str]) -> Iterator[str]:
    """Random rows; every thousandth is a test row with three words changed."""
    rng = random.Random(3)
    words, weights = zipf_words()
    for number in range(num):
        if number % _EDIT_EVERY == 0:
            copy = test[number // _EDIT_EVERY % len(test)].split()
            for at in rng.sample(range(len(copy)), 3):
                copy[at] = rng.choice(words)
            yield " ".join(copy)
        else:
            yield " ".join(rng.choices(words, cum_weights=weights, k=rng.randint(30, 50)))


def _run(method: str, num: int) -> None:
    from benchmarks.leakage import methods
    from ftcore.data.leakage import TEXT_RULES, find_leaks, leaked_rows

    rng = random.Random(4)
    words, weights = zipf_words()
    test = [" ".join(rng.choices(words, cum_weights=weights, k=rng.randint(30, 50))) for _ in range(NUM_TEST)]
    made = time.perf_counter()
    for _ in stream(num, test):
        pass
    making_s = time.perf_counter() - made  # the generator's own time is no part of the check's
    started = time.perf_counter()
    if method == "ftcore":
        found = leaked_rows(
            find_leaks(({"text": text} for text in stream(num, test)), [{"text": t} for t in test], TEXT_RULES)
        )
    else:
        found = methods.minhash(stream(num, test), test)  # type: ignore[arg-type]
    seconds = time.perf_counter() - started - making_s
    planted = len({number // _EDIT_EVERY % NUM_TEST for number in range(0, num, _EDIT_EVERY)})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "mb": peak, "found": len(found), "planted": planted}))


if __name__ == "__main__":
    _run(sys.argv[1], int(sys.argv[2]))
