"""A free port is taken, a busy one is passed over, and a busy one that was asked for is an error."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from ftcore.errors import UsageError
from ftcore.stack.ports import LOOPBACK, choose_port, is_free


@pytest.fixture
def busy() -> Iterator[int]:
    with socket.socket() as server:
        server.bind((LOOPBACK, 0))
        server.listen()
        yield server.getsockname()[1]


def test_the_usual_port_when_free_else_the_next(busy: int) -> None:
    assert not is_free(busy)
    chosen = choose_port(busy)
    assert busy < chosen < busy + 100
    assert choose_port(chosen) == chosen
    assert choose_port(chosen, taken=(chosen,)) > chosen


def test_a_busy_port_that_was_asked_for_is_an_error(busy: int) -> None:
    with pytest.raises(UsageError, match=f"Port {busy} .* in use"):
        choose_port(8080, asked=busy)
