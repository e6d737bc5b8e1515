"""A limit on request bodies that also holds where no Content-Length is sent (plain ASGI, so nothing is read twice)."""

from __future__ import annotations

import contextlib

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _TooLarge(Exception):
    """The body passed the limit while it was read: makes the application stop reading."""


class BoundedBodies:
    """Answers 413 to a body above `max_bytes`, announced or not; the rest of the body is not read."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self.max_bytes:
            await self._refuse(scope, receive, send)
            return
        seen = 0

        async def counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise _TooLarge
            return message

        async def unless_refused(message: Message) -> None:
            # FastAPI turns any error while reading into a 400 of its own; ours says what is wrong.
            if seen <= self.max_bytes:
                await send(message)

        with contextlib.suppress(_TooLarge):
            await self.app(scope, counted, unless_refused)
        if seen > self.max_bytes:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        message = f"The body is larger than {self.max_bytes >> 20} MiB."
        answer = JSONResponse({"error": {"message": message, "hint": "send fewer texts per request"}}, status_code=413)
        await answer(scope, receive, send)
