"""Requests to an OpenAI-compatible endpoint: within a time, a size and a number; repeated with back-off; never with a secret in a
message.

What went wrong is told by status or by the kind of error. Neither the address, nor the key, nor what either side sent is in it.
"""

from __future__ import annotations

import functools
import json
import os
import random
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from ftcore.evaluation.llm_judge.protocol import request_body
from ftcore.spec import LlmJudgeSpec

_PASSING = frozenset({408, 409, 425, 429})  # and 5xx
_FINAL = frozenset({401, 403, 404, 405})  # about the endpoint as a whole, whatever is asked
_MAX_BODY_BYTES = 1_000_000
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0
_GIVE_UP_AFTER = 5
"""Requests in a row, each repeated as often as allowed, without an answer: then no more are sent."""


@dataclass(frozen=True)
class Reply:
    """What came back on one question."""

    text: str | None
    """None: no answer, for the reason in `fault`."""
    model: str = ""
    """As the endpoint names itself."""
    fault: str = ""


class _Failed(Exception):
    """Why a request has no answer, in words that are fit for a record."""

    def __init__(self, fault: str, *, passing: bool = True, final: bool = False, wait_s: float = 0.0) -> None:
        super().__init__(fault)
        self.fault, self.wait_s = fault, wait_s
        self.passing = passing
        """May be gone when the request is repeated."""
        self.final = final
        """Will be there for every other request too."""


@functools.cache
def _tls() -> ssl.SSLContext:
    """Reading the certificates takes 0.4 s: once in a process."""
    return httpx.create_ssl_context()


class Endpoint:
    """The judge of a spec; safe to use from several threads. Close it after use.

    Args:
        settings: Address, model, limits.
        first_wait_s: Of the back-off; tests shorten it.
    """

    def __init__(self, settings: LlmJudgeSpec, first_wait_s: float = _FIRST_WAIT_S) -> None:
        self._settings, self._first_wait_s = settings, first_wait_s
        self._key = os.environ.get(settings.api_key_env or "", "").strip()
        self._http = httpx.Client(timeout=settings.timeout_s, verify=_tls(), follow_redirects=False)
        self._lock = threading.Lock()
        self._failed_in_a_row = 0
        self._closed_because = ""
        if settings.api_key_env and not self._key:
            self._closed_because = "the environment variable of evaluation.llm_judge.api_key_env is not set"
        elif not (self._key.isascii() and self._key.isprintable()):
            self._closed_because = "the key in the environment is not plain ASCII"
        self.num_calls = 0
        """Requests sent so far."""

    def close(self) -> None:
        self._http.close()

    def ask(self, conversation: Sequence[dict[str, str]]) -> Reply:
        """Put one question. Never raises for what the other side does or does not do."""
        body = request_body(self._settings.model, list(conversation), self._settings.max_tokens)
        for attempt in range(self._settings.retries + 1):
            if fault := self._next_call():
                return Reply(None, fault=fault)
            try:
                reply = self._read(self._send(body))
            except _Failed as error:
                failed = error
            else:
                with self._lock:
                    self._failed_in_a_row = 0
                return reply
            if not failed.passing or attempt == self._settings.retries:
                break
            time.sleep(self._wait_s(attempt, failed.wait_s))
        self._note(failed)
        return Reply(None, fault=failed.fault)

    def _next_call(self) -> str:
        """Counts a request; or why there may be no other."""
        with self._lock:
            if self._closed_because:
                return self._closed_because
            if self.num_calls >= self._settings.max_calls:
                return f"the {self._settings.max_calls:,} requests of max_calls are spent"
            self.num_calls += 1
            return ""

    def _note(self, failed: _Failed) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= _GIVE_UP_AFTER or failed.final:
                self._closed_because = self._closed_because or failed.fault

    def _wait_s(self, attempt: int, asked_s: float) -> float:
        """Seconds: doubled each time, half of it by chance, and no less than the server asks for within reason."""
        wanted = min(_LONGEST_WAIT_S, self._first_wait_s * 2.0**attempt)
        return max(wanted * random.uniform(0.5, 1.0), min(asked_s, _LONGEST_WAIT_S))

    def _send(self, body: dict[str, Any]) -> Any:
        """The parsed body of the answer, within `timeout_s` in all and a million bytes."""
        headers = {"Content-Type": "application/json"}
        if self._key:
            headers["Authorization"] = f"Bearer {self._key}"
        ends_at = time.monotonic() + self._settings.timeout_s
        received = bytearray()
        try:
            with self._http.stream(
                "POST", f"{self._settings.url}/chat/completions", content=json.dumps(body), headers=headers
            ) as answer:
                if answer.status_code != 200:
                    raise _of_status(answer)
                for part in answer.iter_bytes():
                    received += part
                    if len(received) > _MAX_BODY_BYTES:
                        raise _Failed("an answer was longer than a million bytes")
                    if time.monotonic() > ends_at:
                        raise _Failed("an answer took longer than timeout_s")
            return json.loads(received)
        except httpx.InvalidURL:
            raise _Failed("the address cannot be used", passing=False, final=True) from None
        except httpx.TimeoutException:
            raise _Failed("no answer within timeout_s") from None
        except httpx.HTTPError as error:
            raise _Failed(f"the endpoint does not answer ({type(error).__name__})") from None
        except (ValueError, RecursionError):
            raise _Failed("an answer was not JSON") from None

    def _read(self, answer: Any) -> Reply:
        try:
            message = answer["choices"][0]["message"]
            text, model = message.get("content"), answer.get("model")
        except (AttributeError, IndexError, KeyError, TypeError):
            raise _Failed("an answer was no chat completion") from None
        name = model if isinstance(model, str) else ""
        if self._key:
            name = name.replace(self._key, "…")
        return Reply(text if isinstance(text, str) else "", "".join(filter(str.isprintable, name))[:200])


def _of_status(answer: httpx.Response) -> _Failed:
    status = answer.status_code
    try:
        wait_s = float(answer.headers.get("retry-after", "0"))
    except ValueError:  # a date
        wait_s = 0.0
    wait_s = wait_s if 0.0 <= wait_s < float("inf") else 0.0
    passing = status in _PASSING or status >= 500
    return _Failed(f"the endpoint answers with status {status}", passing=passing, final=status in _FINAL, wait_s=wait_s)
