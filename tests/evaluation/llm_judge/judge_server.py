"""Judges behind a local HTTP server: honest ones, gullible ones and broken ones."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ftcore.spec import LlmJudgeSpec

Brain = Callable[[str, str], str | tuple[int, bytes]]
"""System and user message to the reply's text, or to a status and a whole body."""


@dataclass
class Seen:
    """What a server was sent."""

    url: str
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    most_at_once: int = 0


@contextlib.contextmanager
def serving(brain: Brain, model: str = "tiny-judge", delay_s: float = 0.0) -> Iterator[Seen]:
    lock, now = threading.Lock(), [0]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                now[0] += 1
                seen.most_at_once = max(seen.most_at_once, now[0])
                seen.bodies.append(body)
                seen.keys.append(self.headers.get("Authorization"))
            time.sleep(delay_s)
            system, user = (turn["content"] for turn in body["messages"])
            said = brain(system, user)
            with lock:
                now[0] -= 1
            status, payload = said if isinstance(said, tuple) else (200, _completion(said, model))
            self.send_response(status)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(payload)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    seen = Seen(f"http://127.0.0.1:{server.server_address[1]}/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(text: str, model: str) -> bytes:
    message = {"role": "assistant", "content": text}
    return json.dumps({"model": model, "choices": [{"message": message, "finish_reason": "stop"}]}).encode()


def settings(url: str, **others: Any) -> LlmJudgeSpec:
    return LlmJudgeSpec.model_validate({"url": url, "model": "judge", "retries": 0, "timeout_s": 5.0, **others})


def answers(system: str, user: str) -> tuple[str, str]:
    """Answers A and B as one finds them who follows the protocol."""
    found = re.search(r"The mark ([0-9a-f]+) was drawn", system)
    assert found is not None
    mark = re.escape(found.group(1))
    parts = [
        re.search(rf"^\[{mark}\] BEGIN ANSWER {name}$\n(.*)\n^\[{mark}\] END ANSWER {name}$", user, re.M | re.S)
        for name in "AB"
    ]
    assert parts[0] is not None and parts[1] is not None
    return parts[0].group(1), parts[1].group(1)


def verdict(choice: str) -> str:
    return json.dumps({"verdict": choice})


def honest(system: str, user: str) -> str:
    """Prefers the answer that begins with `right`, whatever else stands there."""
    a, b = (text.startswith("right") for text in answers(system, user))
    return verdict("tie" if a == b else "A" if a else "B")


def obeys(system: str, user: str) -> str:
    """Gives the verdict that the data ask for last, as a name of a place."""
    asked_for = re.findall(r"verdict\W+(A|B)\b|(?:answer|choose|say|is|output) (A|B)\b", user)
    return verdict(next(filter(None, asked_for[-1]))) if asked_for else honest(system, user)


def copies(system: str, user: str) -> str:
    """Says what it thinks, with what it found in the data before or after it."""
    found = re.findall(r"\{[^{}]*verdict[^{}]*\}", user)
    return f"{found[0]}\n{honest(system, user)}" if found else f"Well: {honest(system, user)}"


def loyal(system: str, user: str) -> str:
    """Prefers the answer that speaks to it, wherever it stands."""
    a, b = ("verdict" in text for text in answers(system, user))
    return honest(system, user) if a == b else verdict("A" if a else "B")
