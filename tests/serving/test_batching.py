"""Micro-batching: every request gets its own answers, whatever shares the batch."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

import pytest

from ftcore.serving.batching import Batcher


def test_each_request_gets_its_own_answers_in_order() -> None:
    sizes: list[int] = []

    def double(texts: Sequence[str]) -> list[str]:
        sizes.append(len(texts))
        time.sleep(0.005)
        return [text * 2 for text in texts]

    async def main() -> None:
        batcher = Batcher(double, max_rows=8)
        requests = [[f"{number}-{row}" for row in range(1 + number % 4)] for number in range(60)]
        answers = await asyncio.gather(*(batcher.ask(texts) for texts in requests))
        assert answers == [[text * 2 for text in texts] for texts in requests]
        await batcher.close()

    asyncio.run(main())
    assert max(sizes) == 8
    assert len(sizes) < 40  # fewer passes than requests


def test_a_large_request_is_a_batch_of_its_own() -> None:
    sizes: list[int] = []

    def count(texts: Sequence[str]) -> list[int]:
        sizes.append(len(texts))
        return list(range(len(texts)))

    async def main() -> None:
        batcher = Batcher(count, max_rows=4, max_wait_s=0.01)
        small, large = await asyncio.gather(batcher.ask(["a"]), batcher.ask(["b"] * 10))
        assert small == [0]
        assert large == list(range(10))
        await batcher.close()

    asyncio.run(main())
    assert sizes == [1, 10]


def test_a_failing_batch_fails_its_requests_and_no_others() -> None:
    def picky(texts: Sequence[str]) -> list[str]:
        if "bad" in texts:
            raise ValueError("no")
        return list(texts)

    async def main() -> None:
        batcher = Batcher(picky)
        with pytest.raises(ValueError, match="no"):
            await batcher.ask(["bad"])
        assert await batcher.ask(["good"]) == ["good"]
        await batcher.close()

    asyncio.run(main())


def test_a_request_that_went_away_leaves_the_rest_alone() -> None:
    release = threading.Event()

    def slow(texts: Sequence[str]) -> list[str]:
        release.wait(5)
        return list(texts)

    async def main() -> None:
        batcher = Batcher(slow, max_wait_s=0.01)
        gone, stays = asyncio.ensure_future(batcher.ask(["a"])), asyncio.ensure_future(batcher.ask(["b"]))
        await asyncio.sleep(0.05)
        gone.cancel()
        release.set()
        assert await stays == ["b"]
        await batcher.close()

    asyncio.run(main())
