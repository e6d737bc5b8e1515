"""The HTTP server: several champions in one process, answers logged before they are sent.

| call | answer |
|---|---|
| `POST /v1/{spec}/predict` | one `{id, label, confidence}` per text, and the digest of the model that answered |
| `POST /v1/{spec}/feedback` | 202 once the labels are on disk |
| `GET /v1/{spec}/version` | which model answers, since when |
| `GET /health` | 200 if every spec can be served by the ledger's champion or an earlier one, else 503; one line per spec |

Errors are `{"error": {"message", "hint"}}`: 404 unknown spec, 413 and 422 faulty input, 503 no champion yet or disk full.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from ftcore.errors import FtcoreError, ServiceUnavailable, StorageError, UsageError
from ftcore.ledger import Ledger, open_ledger
from ftcore.serving.batching import Batcher
from ftcore.serving.bodies import BoundedBodies
from ftcore.serving.champion import Champion, Loader, Slot, load_champion
from ftcore.serving.log import LogWriter, feedback_folder, now_utc, predictions_folder
from ftcore.serving.requests import MAX_BODY_BYTES, FeedbackRequest, PredictRequest
from ftcore.store import Store

POLL_S = 1.0
"""How often the ledger's head is looked at."""


@dataclass(frozen=True)
class Answer:
    """One text's answer, with the model that gave it."""

    champion: Champion
    label: str
    confidence: float
    num_tokens: int


class Served:
    """All that belongs to one spec while the server runs."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        self.batcher = Batcher(self._predict)
        home = slot.store.root
        self.predictions = LogWriter(predictions_folder(home, slot.spec))
        self.feedback = LogWriter(feedback_folder(home, slot.spec))

    def _predict(self, texts: Sequence[str]) -> list[Answer]:
        champion = self.slot.current  # read once: the whole batch is answered by one model
        if champion is None:
            reason = self.slot.fault or "no model has been promoted yet"
            raise ServiceUnavailable(f"{self.slot.spec} has no champion to answer: {reason}.", hint="ftcore run SPEC")
        found = champion.predictor.predict(texts)
        rows = zip(found.labels, found.confidences, found.num_tokens, strict=True)
        return [Answer(champion, label, float(confidence), int(tokens)) for label, confidence, tokens in rows]

    async def predict(self, body: PredictRequest) -> dict[str, Any]:
        texts = body.all_texts
        answers = await self.batcher.ask(texts)
        extra = {name: value for name, value in (("group", body.group), ("source", body.source)) if value is not None}
        rows = [
            {
                "id": uuid.uuid4().hex, "at": now_utc(), "model_digest": answer.champion.head.model_digest, "text": text,
                "prediction": answer.label, "confidence": answer.confidence, "num_chars": len(text),
                "num_tokens": answer.num_tokens, **extra,
            }
            for text, answer in zip(texts, answers, strict=True)
        ]  # fmt: skip
        await asyncio.wrap_future(self.predictions.append(rows))
        shown = [{"id": row["id"], "label": row["prediction"], "confidence": row["confidence"]} for row in rows]
        return {
            "spec": self.slot.spec,
            "model_digest": answers[0].champion.head.model_digest,
            "predictions": shown,
        }

    async def take_feedback(self, body: FeedbackRequest) -> dict[str, Any]:
        rows = [{**item.model_dump(exclude_none=True), "at": now_utc()} for item in body.all_items]
        await asyncio.wrap_future(self.feedback.append(rows))
        return {"accepted": len(rows)}

    def version(self) -> dict[str, Any]:
        champion = self.slot.current
        state = {"spec": self.slot.spec, "ready": champion is not None, "fault": self.slot.fault}
        if champion is None:
            return state
        head = champion.head
        return {
            **state, "model_digest": head.model_digest, "seq": head.seq, "promotion_id": head.promotion_id,
            "since": head.since, "loaded_at": champion.loaded_at, "labels": list(champion.predictor.labels),
        }  # fmt: skip

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
    """The server over the champions of `specs` (names; empty: of every spec that has a champion at start).

    Args:
        store: Default FTCORE_HOME.
        ledger: Default `$FTCORE_LEDGER_URL` or the ledger in FTCORE_HOME.
        load: How a champion is loaded.
        poll_s: Seconds between looks at the ledger.
    """
    served: dict[str, Served] = {}

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        book = ledger or open_ledger()
        names = list(specs) or [head.spec for head in book.heads()]
        slots = [Slot(name, book, store or Store(), load) for name in names]
        await asyncio.gather(*(asyncio.to_thread(slot.refresh) for slot in slots))
        served.update({slot.spec: Served(slot) for slot in slots})
        follower = asyncio.create_task(_follow(slots, poll_s))
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


async def _follow(slots: Sequence[Slot], poll_s: float) -> None:
    while True:
        await asyncio.sleep(poll_s)
        for slot in slots:
            await asyncio.to_thread(slot.refresh)


def _add_routes(app: FastAPI, served: dict[str, Served]) -> None:
    def find(spec: str) -> Served:
        if spec not in served:
            known = ", ".join(sorted(served)) or "none"
            raise UsageError(f"No spec {spec!r} is served here; served: {known}.", hint="ftcore serve SPEC [SPEC …]")
        return served[spec]

    @app.post("/v1/{spec}/predict")
    async def predict(spec: str, body: PredictRequest) -> dict[str, Any]:
        """Classify texts. Answers carry ids; send the right label back under the same id."""
        return await find(spec).predict(body)

    @app.post("/v1/{spec}/feedback", status_code=202)
    async def feedback(spec: str, body: FeedbackRequest) -> dict[str, Any]:
        """Take labels for earlier answers; the last one for an id counts."""
        return await find(spec).take_feedback(body)

    @app.get("/v1/{spec}/version")
    async def version(spec: str) -> dict[str, Any]:
        """Which model answers."""
        return find(spec).version()

    @app.get("/health")
    async def health() -> JSONResponse:
        """200 when every spec can be answered."""
        states = {name: one.version() for name, one in served.items()}
        ready = bool(states) and all(state["ready"] for state in states.values())
        shown = {
            name: {key: state.get(key) for key in ("ready", "model_digest", "since", "fault")}
            for name, state in states.items()
        }
        return JSONResponse({"ready": ready, "specs": shown}, status_code=200 if ready else 503)


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
    return _error(422, "; ".join(faults[:5]) + more, 'POST {"text": "…"} or {"texts": ["…", …]}; see /docs')


def _error(status: int, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": {"message": message, "hint": hint}}, status_code=status)
