"""The HTTP server: several champions in one process, answers logged before they are sent.

| call | answer |
|---|---|
| `POST /v1/{spec}/predict` | one `{id, label, confidence}` per text, and the digest of the model that answered |
| `POST /v1/{spec}/feedback` | 202 once labels, corrected replies or ratings are on disk |
| `GET /v1/{spec}/version` | which model answers, since when |
| `GET /live` | 200 while the process runs, with or without a champion |
| `GET /health` | 200 if every spec has a champion that answers, else 503; `fault`: why that is not the ledger's newest |

A model that writes replies answers texts and conversations with `{id, reply, confidence, num_tokens, stopped}`: the length of the
reply, and whether the model ended it itself.

Errors are `{"error": {"message", "hint"}}`: 404 unknown spec, 413 and 422 faulty input, 503 no champion yet or disk full.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ftcore.errors import FtcoreError, ServiceUnavailable, StorageError, UsageError
from ftcore.ledger import Ledger, open_ledger
from ftcore.models.prompts import Prompt
from ftcore.serving.batching import Batcher
from ftcore.serving.bodies import BoundedBodies
from ftcore.serving.champion import Champion, Loader, Slot, load_champion
from ftcore.serving.log import LogWriter, feedback_folder, is_reply, now_utc, predictions_folder
from ftcore.serving.models import ReplyModel, text_of
from ftcore.serving.requests import MAX_BODY_BYTES, FeedbackRequest, PredictRequest
from ftcore.store import Store

POLL_S = 1.0
"""How often the ledger's head is looked at."""


@dataclass(frozen=True)
class Answer:
    """One prompt's answer, with the model that gave it."""

    champion: Champion
    row: Mapping[str, Any]
    """As `answer` of the model gives it."""


class Served:
    """All that belongs to one spec while the server runs."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.batcher = Batcher(self._predict)
        home = slot.store.root
        self.predictions = LogWriter(predictions_folder(home, slot.spec))
        self.feedback = LogWriter(feedback_folder(home, slot.spec))

    def _predict(self, prompts: Sequence[Prompt]) -> list[Answer]:
        champion = self.champion()  # read once: the whole batch is answered by one model
        return [Answer(champion, row) for row in champion.model.answer(prompts)]

    async def predict(self, body: PredictRequest) -> dict[str, Any]:
        items = body.all_items
        prompts = [item.prompt for item in items]
        # Before it shares a batch: what one request may not ask must not fail the others.
        fault = await asyncio.to_thread(self.champion().model.fault_of, prompts)
        if fault is not None:
            raise _unfit(fault)
        answers = await self.batcher.ask(prompts)
        rows = [
            {
                "id": uuid.uuid4().hex, "at": now_utc(), "model_digest": answer.champion.head.model_digest,
                **answer.row, "text": text_of(prompt), **item.model_dump(exclude_none=True),
            }
            for item, prompt, answer in zip(items, prompts, answers, strict=True)
        ]  # fmt: skip
        await asyncio.wrap_future(self.predictions.append(rows))
        shown = [_shown(row) for row in rows]
        return {"spec": self.slot.spec, "model_digest": shown[0]["model_digest"], "predictions": shown}

    async def take_feedback(self, body: FeedbackRequest) -> dict[str, Any]:
        items = body.all_items
        if champion := self.slot.current:
            replies = isinstance(champion.model, ReplyModel)
            if any((item.label is None) != replies for item in items):
                wanted = "writes replies; wanted `reply` or `rating`" if replies else "names classes; wanted `label`"
                raise _unfit(f"the model of this spec {wanted}")
        rows = [{**item.model_dump(exclude_none=True), "at": now_utc()} for item in items]
        await asyncio.wrap_future(self.feedback.append(rows))
        return {"accepted": len(rows)}

    def state(self) -> dict[str, Any]:
        champion = self.slot.current
        head = champion.head if champion else None
        return {
            "ready": champion is not None,
            "model_digest": head.model_digest if head else None,
            "since": head.since if head else None,
            "fault": self.slot.fault,
        }

    def version(self) -> dict[str, Any]:
        champion = self.champion()
        head = champion.head
        return {
            "spec": self.slot.spec, "model_digest": head.model_digest, "seq": head.seq, "promotion_id": head.promotion_id,
            "since": head.since, "loaded_at": champion.loaded_at, **champion.model.about(), "fault": self.slot.fault,
        }  # fmt: skip

    def champion(self) -> Champion:
        """The champion that answers now.

        Raises:
            ServiceUnavailable: There is none yet, or it could not be loaded.
        """
        champion = self.slot.current
        if champion is None:
            reason = self.slot.fault or "no model has been promoted yet"
            raise ServiceUnavailable(f"{self.slot.spec} has no champion to answer: {reason}.", hint="ftcore run SPEC")
        return champion

    async def close(self) -> None:
        await self.batcher.close()
        await asyncio.to_thread(self.predictions.close)
        await asyncio.to_thread(self.feedback.close)


def create_app(
    specs: Sequence[str] = (),
    *,
    store: Store | None = None,
    ledger: Ledger | None = None,
    load: Loader = load_champion,
    poll_s: float = POLL_S,
) -> FastAPI:
    """The server over the champions of `specs` (names; empty: of every spec that has or gets a champion).

    Args:
        store: Default FTCORE_HOME.
        ledger: Default `$FTCORE_LEDGER_URL` or the ledger in FTCORE_HOME.
        load: How a champion is loaded.
        poll_s: Seconds between looks at the ledger.
    """
    served: dict[str, Served] = {}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        book, home = ledger or open_ledger(), store or Store()

        async def refresh() -> None:
            names = list(specs) or [head.spec for head in await asyncio.to_thread(book.heads)]
            for name in names:
                if name not in served:
                    slot = Slot(name, book, home, load)
                    await asyncio.to_thread(slot.refresh)
                    served[name] = Served(slot)
                else:
                    await asyncio.to_thread(served[name].slot.refresh)

        async def follow() -> None:
            while True:
                await asyncio.sleep(poll_s)
                with contextlib.suppress(FtcoreError):  # the ledger does not answer: what is loaded goes on answering
                    await refresh()

        await refresh()
        follower = asyncio.create_task(follow())
        try:
            yield
        finally:
            follower.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await follower
            await asyncio.gather(*(one.close() for one in served.values()))

    app = FastAPI(title="ftcore", summary="Answers of the models in production.", lifespan=lifespan, version="1")
    app.add_middleware(BoundedBodies, max_bytes=MAX_BODY_BYTES)
    app.add_exception_handler(FtcoreError, _ftcore_error)
    app.add_exception_handler(RequestValidationError, _faulty_input)
    _add_routes(app, served)
    return app


def _add_routes(app: FastAPI, served: dict[str, Served]) -> None:
    def find(spec: str) -> Served:
        if spec not in served:
            known = ", ".join(sorted(served)) or "none"
            raise UsageError(f"No spec {spec!r} is served here; served: {known}.", hint="ftcore serve SPEC [SPEC …]")
        return served[spec]

    @app.post("/v1/{spec}/predict")
    async def predict(spec: str, body: PredictRequest) -> dict[str, Any]:
        """Classify texts, or reply to them. Answers carry ids; send the right label or a better reply back under the same id."""
        return await find(spec).predict(body)

    @app.post("/v1/{spec}/feedback", status_code=202)
    async def feedback(spec: str, body: FeedbackRequest) -> dict[str, Any]:
        """Take labels, corrected replies or ratings for earlier answers; the last one of each for an id counts."""
        return await find(spec).take_feedback(body)

    @app.get("/v1/{spec}/version")
    async def version(spec: str) -> dict[str, Any]:
        """Which model answers."""
        return find(spec).version()

    @app.get("/live")
    async def live() -> dict[str, bool]:
        """200 while the process runs, also before the first promotion."""
        return {"live": True}

    @app.get("/health")
    async def health() -> JSONResponse:
        """200 when every spec can be answered."""
        states = {name: one.state() for name, one in served.items()}
        ready = bool(states) and all(state["ready"] for state in states.values())
        return JSONResponse({"ready": ready, "specs": states}, status_code=200 if ready else 503)


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller gets of a logged row."""
    answer: dict[str, Any] = {"label": row["prediction"]}
    if is_reply(row):
        answer = {"reply": row["prediction"], "num_tokens": row["num_answer_tokens"], "stopped": row["stopped"]}
    return {"id": row["id"], **answer, "confidence": row["confidence"], "model_digest": row["model_digest"]}


def _unfit(fault: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("body",), "msg": fault, "type": "value_error"}])


async def _ftcore_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, FtcoreError)
    unavailable = isinstance(error, (ServiceUnavailable, StorageError))
    status = 503 if unavailable else 404 if isinstance(error, UsageError) else 500
    return _error(status, error.message, error.hint)


async def _faulty_input(request: Request, error: Exception) -> JSONResponse:
    """Each fault with its place; never the text that was sent."""
    assert isinstance(error, RequestValidationError)
    faults = []
    for fault in error.errors():
        place = ".".join(str(part) for part in fault["loc"] if part != "body") or "body"
        faults.append(f"{place}: {fault['msg'].removeprefix('Value error, ')}")
    more = f" (and {len(faults) - 5} more faults)" if len(faults) > 5 else ""
    return _error(
        422, "; ".join(faults[:5]) + more, 'POST {"text": "…"}, {"texts": ["…", …]} or {"messages": […]}; see /docs'
    )


def _error(status: int, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)
