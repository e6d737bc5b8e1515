"""Micro-batching: requests that arrive while the model is busy are answered together by its next forward pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

Prompt = TypeVar("Prompt")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class _Waiting(Generic[Prompt, Answer]):
    texts: Sequence[Prompt]
    future: asyncio.Future[list[Answer]]


class Batcher(Generic[Prompt, Answer]):
    """Collects texts (or conversations) of concurrent requests and answers them with one call of `predict`.

    Args:
        predict: Texts -> one answer per text, in order; runs in a thread of its own, one call at a time. It is asked anew for
            every batch, so a model that was swapped in meanwhile answers the next batch, and one batch never mixes two models.
        max_rows: Texts per batch. A request with more is a batch of its own.
        max_wait_s: How long an idle model waits for company after the first request. While it is busy, requests gather anyway.
    """

    def __init__(
        self, predict: Callable[[Sequence[Prompt]], list[Answer]], max_rows: int = 64, max_wait_s: float = 0.002
    ) -> None:
        self._predict = predict
        self._max_rows = max_rows
        self._max_wait_s = max_wait_s
        self._queue: asyncio.Queue[_Waiting[Prompt, Answer]] = asyncio.Queue()
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._held: _Waiting[Prompt, Answer] | None = None  # taken from the queue, did not fit, comes first next time

    async def ask(self, texts: Sequence[Prompt]) -> list[Answer]:
        """Answers for `texts`, in order; raises whatever `predict` raised for the batch."""
        future: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Waiting(texts, future))
        return await future

    async def close(self) -> None:
        """Stop; requests still waiting are cancelled. The server closes this after its last request."""
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._executor.shutdown(wait=True)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            batch = await self._gather()
            texts = [text for waiting in batch for text in waiting.texts]
            try:
                answers = await loop.run_in_executor(self._executor, self._predict, texts)
            except Exception as error:  # noqa: BLE001 (every waiting request gets it; the loop must go on for the next)
                for waiting in batch:
                    if not waiting.future.done():
                        waiting.future.set_exception(error)
                continue
            start = 0
            for waiting in batch:
                end = start + len(waiting.texts)
                if not waiting.future.done():  # done already: the request went away
                    waiting.future.set_result(answers[start:end])
                start = end

    async def _gather(self) -> list[_Waiting[Prompt, Answer]]:
        first = self._held or await self._queue.get()
        self._held = None
        batch, rows = [first], len(first.texts)
        if self._queue.empty() and rows < self._max_rows:
            await asyncio.sleep(self._max_wait_s)
        while rows < self._max_rows and not self._queue.empty():
            waiting = self._queue.get_nowait()
            if rows + len(waiting.texts) > self._max_rows:
                self._held = waiting
                break
            batch.append(waiting)
            rows += len(waiting.texts)
        return batch
