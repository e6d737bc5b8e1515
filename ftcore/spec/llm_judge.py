"""A language model that compares answers, behind an HTTP endpoint."""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from ftcore.spec.base import Section


class LlmJudgeSpec(Section):
    """A language model that compares candidate and champion, for people to read; it decides nothing (docs/llm-judge.md). Tasks
    that generate text only. Rows of the holdout are sent to this address."""

    url: str
    """Base address of an OpenAI-compatible API, with its version: `https://judge.example/v1`. No password or query in it."""
    model: Annotated[str, Field(min_length=1, max_length=200)]
    """Name of the model, as the endpoint knows it."""
    api_key_env: str | None = None
    """Name of the environment variable that holds the key; never the key. Null: none is sent. Wants https, or this machine."""
    labels: str | None = None
    """JSONL or CSV file, relative to the project folder, of pairs that people compared: asked, a, b, choice.
    `ftcore review record --labels FILE` writes one. Without it the score stays hidden: nobody knows whether the judge agrees
    with people."""
    min_labels: Annotated[int, Field(ge=20)] = 100
    """Pairs of people that the judge must have judged; with fewer the score stays hidden: with 20 kappa is uncertain by 0.4."""
    min_kappa: Annotated[float, Field(ge=0.0, le=1.0)] = 0.6
    """Cohen's kappa of the judge with these people, below which the score stays hidden."""
    criteria: Annotated[str, Field(min_length=1, max_length=4000)] = (
        "The better answer does what the request asks, is correct, and is no longer than it needs to be."
    )
    """What makes an answer better, in words for the judge."""
    rows: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Rows drawn among those that the models answer differently; each is asked about twice, with the answers swapped."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Of the draw."""
    max_calls: Annotated[int, Field(ge=2)] = 1000
    """Requests to the endpoint in one evaluation at most, repeated ones included. People's pairs come first."""
    max_concurrency: Annotated[int, Field(ge=1, le=64)] = 4
    """Requests at a time."""
    timeout_s: Annotated[float, Field(gt=0.0, le=3600.0)] = 60.0
    """Seconds that one request may take in all."""
    retries: Annotated[int, Field(ge=0, le=10)] = 3
    """Repetitions of a request that got no answer or a passing fault (408, 409, 425, 429, 5xx), at growing, random intervals."""
    max_tokens: Annotated[int, Field(ge=8, le=100_000)] = 64
    """Tokens of a reply at most; a model that thinks before it answers needs more."""

    @model_validator(mode="after")
    def _holds_no_secret(self) -> LlmJudgeSpec:
        """Of the section as a whole, so that no message quotes a field: what must not be in it may be in it."""
        if fault := _address_fault(self.url):
            raise ValueError(fault)
        if self.api_key_env is not None:
            if not re.fullmatch(r"[A-Z][A-Z0-9_]{0,127}", self.api_key_env):
                raise ValueError(
                    "api_key_env: wanted the name of an environment variable, in capitals; never the key itself"
                )
            parts = urlsplit(self.url)
            if parts.scheme == "http" and not _is_this_machine(parts.hostname or ""):
                raise ValueError("api_key_env: a key wants an https address; over http it is sent to this machine only")
        return self


def _address_fault(url: str) -> str | None:
    wanted = "url: wanted an address like https://judge.example/v1"
    try:
        parts = urlsplit(url)
        is_plain = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return wanted
    if not is_plain or not url.isprintable() or " " in url or url.endswith("/"):
        return f"{wanted}, without a slash at its end"
    if "@" in parts.netloc or parts.query or parts.fragment:
        return f"{wanted}, without user, password, query and fragment; the key's variable is named in api_key_env"
    return None


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
