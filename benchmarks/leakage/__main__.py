"""What the leakage rules find, what they flag wrongly, and what they cost, beside exact match, MinHash and any-13-gram.

    python -m benchmarks.leakage                 # all of it: about 10 minutes on 2 cores
    python -m benchmarks.leakage --only recall   # or: columns, own, speed

Set FTCORE_BANKING77 to a folder with Banking77's train.csv and test.csv to have it among the backgrounds. Everything is seeded.
"""

from __future__ import annotations

import argparse
import os
import unicodedata

from benchmarks.leakage import columns, own_test, speed
from benchmarks.leakage.corpora import Corpus, corpora, plant
from benchmarks.leakage.methods import METHODS
from ftcore.data.leakage import find_leaks

SEED = 5


def recall(corpus: Corpus) -> None:
    """One line per kind of leak: share found by each method; then what is flagged of rows without a copy."""
    print(f"\n{corpus.name}: {len(corpus.train):,} train rows; share of planted test rows found")
    print(f"  {'':<28}" + "".join(f"{name:>16}" for name in METHODS))
    for planted in plant(corpus, SEED):
        shares = [len(method(planted.train, planted.test)) / len(planted.test) for method in METHODS.values()]
        print(f"  {planted.kind:<28}" + "".join(f"{share:>16.1%}" for share in shares))
    flagged = [len(method(corpus.train, corpus.foreign)) / len(corpus.foreign) for method in METHODS.values()]
    print(f"  {'clean rows flagged':<28}" + "".join(f"{share:>16.2%}" for share in flagged))
    flagged = [len(method(corpus.train, corpus.test)) / len(corpus.test) for method in METHODS.values()]
    print(f"  {'its own test rows flagged':<28}" + "".join(f"{share:>16.2%}" for share in flagged))


def precision(corpus: Corpus) -> None:
    """Pairs told by the rules exact and normalised, planted ones among them, that hold the same letters and digits."""
    exact, normalised = (planted.test for planted in list(plant(corpus, SEED))[:2])
    train, test = ([{"text": text} for text in side] for side in (corpus.train, [*exact, *normalised, *corpus.test]))
    leaks = find_leaks(train, test, ["exact", "normalised"])
    right = sum(_letters(train[leak.train_row]["text"]) == _letters(test[leak.test_row]["text"]) for leak in leaks)
    print(f"  exact and normalised: {right} of {len(leaks)} pairs are right ({right / len(leaks):.1%})")


def _letters(text: str) -> str:
    return "".join(char for char in unicodedata.normalize("NFKC", text).casefold() if char.isalnum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("recall", "columns", "own", "speed"))
    parser.add_argument("--pairs", action="store_true", help="with --only own: print every flagged pair")
    args = parser.parse_args()
    folder = os.environ.get("FTCORE_BANKING77")
    if folder is None:
        print("FTCORE_BANKING77 is not set: Banking77 is left out.")
    if args.only in (None, "recall"):
        for corpus in corpora(folder):
            recall(corpus)
            precision(corpus)
    if args.only in (None, "columns"):
        columns.report(SEED)
    if args.only in (None, "own") and folder:
        own_test.report(folder, pairs=args.pairs)
    if args.only in (None, "speed"):
        speed.report()


if __name__ == "__main__":
    main()
