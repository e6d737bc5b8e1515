"""Spoiled files through the functions behind `ftcore validate`: nothing gets in silently, nothing crashes or costs much.

Sixty files here, in this process; all 300, each in a process of its own with its memory measured, are marked slow
(`benchmarks/hostile.py` prints the table).
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.hostile import judge, lay
from tests.functional.mutations import Mutation, Row, mutations, write

pytestmark = pytest.mark.functional
BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "hostile.py"
GOOD = ("refused", "quarantined", "harmless", "checksum")


def sample(count: int) -> list[Mutation]:
    """Every mutation once, on a kind of file that changes from one to the next, then some more."""
    by_name: dict[str, list[Mutation]] = {}
    for mutation in mutations(300):
        by_name.setdefault(mutation.name, []).append(mutation)
    once = [found[number % len(found)] for number, found in enumerate(by_name.values())]
    rest = [mutation for mutation in mutations(300) if mutation not in once]
    return [*once, *random.Random(1).sample(rest, max(0, count - len(once)))][:count]


EXPECTED = {
    "utf_16": ("refused", "looks like UTF-16"),
    "latin_1": ("refused", "looks like CP1252"),
    "columns_swapped": ("refused", "text and label look swapped"),
    "header_again": ("quarantined", "repeated_header"),
    "key_twice": ("quarantined", "repeated_key"),
    "answer_missing": ("quarantined", "malformed_conversation"),
    "nested_100_000_deep": ("refused", "nested deeper than 32"),
    "gzip_cut": ("refused", "wanted a whole gzip file"),
    "gzip_bomb": ("refused", "bytes unpacked and more to come"),
    "hundred_thousand_columns": ("refused", "columns, wanted at most 256"),
    "quote_unbalanced": ("refused", "line"),
    "formulas": ("harmless", "kept as text, escaped"),
    "scripts_in_texts": ("harmless", "kept as text, escaped"),
    "crlf": ("harmless", "rows are the same"),
}
"""What must come of a mutation, whatever the kind of file and the seed."""


@pytest.mark.parametrize("mutation", sample(60), ids=str)
def test_a_spoiled_file(tmp_path: Path, mutation: Mutation) -> None:
    outcome = judge(lay(mutation, tmp_path))
    assert outcome.what in GOOD, outcome
    assert outcome.why
    what, why = EXPECTED.get(mutation.name, (outcome.what, ""))
    assert (outcome.what, why in outcome.why) == (what, True), outcome


@pytest.mark.parametrize(("at_rest", "what"), [(False, "silent"), (True, "checksum")])
def test_the_oracle_sees_what_no_reader_does(tmp_path: Path, at_rest: bool, what: str) -> None:
    def one_letter(rng: random.Random, rows: list[Row], path: Path) -> Path:
        rows[3]["text"] = rows[3]["text"].replace("Order", "Ordes")
        return write(rows, path)

    assert judge(lay(Mutation("one_letter", "csv", 0, one_letter, at_rest, False), tmp_path)).what == what


def test_the_same_number_spoils_the_same_way(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder in (first, second):
        folder.mkdir()
    mutation = next(item for item in mutations(300) if item.name == "bit_flips")
    assert mutation.apply(first).read_bytes() == mutation.apply(second).read_bytes()
    assert len({str(item) for item in mutations(300)}) == 300


@pytest.mark.slow
@pytest.mark.timeout(1300)
def test_all_three_hundred() -> None:
    result = subprocess.run([sys.executable, str(BENCHMARK)], capture_output=True, text=True, timeout=1200)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-2000:]
    growth_mib = float(result.stdout.split()[-1])
    assert growth_mib <= 256
