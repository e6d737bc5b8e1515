"""Simulated production: the shipped traffic, sent to the real server over HTTP, with the true labels kept aside."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from ftcore.errors import DataUnavailable, ServiceUnavailable

TEXTS_PER_REQUEST = 16
CLIENTS = 4


@dataclass(frozen=True)
class Answers:
    """Predictions beside the truth."""

    ids: tuple[str, ...]
    predicted: tuple[str, ...]
    truth: tuple[str, ...]

    @property
    def accuracy(self) -> float:
        return sum(a == b for a, b in zip(self.predicted, self.truth, strict=True)) / len(self.truth)


def read_rows(path: Path) -> list[dict[str, Any]]:
    """Rows of a shipped JSONL file.

    Raises:
        DataUnavailable: The file is not part of the data version.
    """
    if not path.is_file():
        raise DataUnavailable(f"The data version has no {path.name}.", hint="git checkout HEAD -- data.dvc")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def halves(rows: Sequence[dict[str, Any]], share: float) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Split by customer, so that no customer is on both sides; `share` of the customers go to the first side."""
    sides: tuple[list[dict[str, Any]], list[dict[str, Any]]] = ([], [])
    for row in rows:
        digest = hashlib.sha256(b"demo\0" + row["group"].encode()).digest()
        sides[int.from_bytes(digest[:4], "big") / 2**32 >= share].append(row)
    return sides


class Production:
    """The ftcore server as its clients see it."""

    def __init__(self, url: str, spec: str) -> None:
        self.url, self.spec = url, spec
        self.client = httpx.Client(base_url=f"{url}/v1/{spec}", timeout=60.0, trust_env=False)

    def serving(self) -> str | None:
        """Digest of the model that answers now; None before the first promotion."""
        try:
            response = self.client.get("/version")
        except httpx.HTTPError:
            return None
        return str(response.json()["model_digest"]) if response.status_code == 200 else None

    def send(self, rows: Sequence[dict[str, Any]]) -> Answers:
        """Ask for a prediction of every row, several clients at once.

        Raises:
            ServiceUnavailable: The server refused or dropped a request.
        """
        with ThreadPoolExecutor(CLIENTS) as pool:
            answers = [item for batch in pool.map(self._predict, _batches(rows)) for item in batch]
        return Answers(
            ids=tuple(item["id"] for item in answers),
            predicted=tuple(item["label"] for item in answers),
            truth=tuple(row["label"] for row in rows),
        )

    def label(self, answers: Answers) -> int:
        """Send the true labels back, as a support team that corrects its tickets would; returns how many."""
        pairs = list(zip(answers.ids, answers.truth, strict=True))
        with ThreadPoolExecutor(CLIENTS) as pool:
            list(pool.map(self._feedback, _batches(pairs)))
        return len(pairs)

    def _predict(self, rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        items = [{"text": row["text"], "group": row["group"], "source": row["source"]} for row in rows]
        return list(self._post("/predict", {"items": items})["predictions"])

    def _feedback(self, pairs: Sequence[tuple[str, str]]) -> None:
        self._post("/feedback", {"items": [{"id": prediction, "label": label} for prediction, label in pairs]})

    def _post(self, path: str, body: Any) -> Any:
        try:
            response = self.client.post(path, json=body)
        except httpx.HTTPError as error:
            raise ServiceUnavailable(
                f"{self.url}/v1/{self.spec}{path} does not answer: {error}.", hint="ftcore status"
            ) from None
        if response.is_error:
            raise ServiceUnavailable(
                f"{path} answered {response.status_code}: {response.text[:300]}", hint="ftcore status"
            )
        return response.json()


def _batches(items: Sequence[Any]) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), TEXTS_PER_REQUEST):
        yield items[start : start + TEXTS_PER_REQUEST]
