"""Around the model: approval, watching, alerts, schedules, machines."""

from __future__ import annotations

import re
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
)

from ftcore.spec.base import Fraction, Probability, Section


class ApprovalSpec(Section):
    """Human approval between verdict and promotion (Airflow's ApprovalOperator)."""

    required: bool = False
    """Ask a person between verdict and promotion."""
    approvers: list[str] = Field(default_factory=list)
    """Airflow user names who may answer; empty: anyone who may run the DAG."""
    four_eyes: bool = True
    """Whoever started the run may not approve it."""
    timeout_hours: Annotated[float, Field(gt=0)] = 72.0
    """No answer by then means hold, never approve."""


class MonitoringSpec(Section):
    """Drift watch over the prediction log."""

    window_rows: Annotated[int, Field(ge=1)] = 500
    """Rows in a window (the newest ones since the champion was promoted)."""
    min_rows: Annotated[int, Field(ge=1)] = 200
    """Fewer rows: the decision is `insufficient`, never `ok`."""
    alpha: Probability = 0.01
    """Family-wise false-alarm rate per window (Holm over all tests). Looks at overlapping windows each have this rate."""
    min_effect: Fraction = 0.1
    """Effect-size floor: smaller shifts are not alarms however small their p-value."""
    cooldown_hours: Annotated[float, Field(ge=0)] = 24.0
    """No second alarm of one spec within this time."""
    min_feedback_rows: Annotated[int, Field(ge=1)] = 200
    """Labelled production rows (or corrected replies) that make a new data version worth retraining on."""


def _alert_url(url: str) -> str:
    """Refuse what no channel could be; an address with `${NAME}` in it is known only at delivery."""
    if re.search(r"\$\{\w+\}", url):
        return url
    wanted = "wanted https://…, any apprise URL (scheme://…), or ${NAME}"
    try:
        parts = urlsplit(url)
        plausible = bool(parts.scheme) and "://" in url and url.isprintable()
        if parts.scheme in ("http", "https"):  # apprise puts tokens where others have host and port
            plausible = plausible and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ValueError(f"not an address ({error}); {wanted}") from None
    if not plausible:
        raise ValueError(f"not an address; {wanted}")
    return url


class AlertsSpec(Section):
    """Where alarms go, besides the log file under FTCORE_HOME and the channels in `$FTCORE_ALERT_URLS`."""

    urls: list[Annotated[str, AfterValidator(_alert_url)]] = Field(default_factory=list)
    """Webhooks (http, https) or any apprise URL. `${NAME}` is filled from the environment at delivery: no secret is stored."""


class ScheduleSpec(Section):
    """When Airflow runs what (cron expressions, UTC; null: only when triggered or by a retrain request)."""

    retrain: str | None = None
    """Scheduled retraining, besides retrain requests."""
    drift_watch: str | None = "*/30 * * * *"
    """How often production is compared with the reference."""
    feedback: str | None = "15 * * * *"
    """How often feedback is gathered into a new data version."""


class ComputeSpec(Section):
    """Where and how numbers are crunched."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: CUDA if there is a device, else the CPU."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """auto: bf16 on CUDA, and on CPUs with AMX or AVX512-BF16; else fp32."""
    threads: Annotated[int, Field(ge=0)] = 0
    """CPU threads of one machine, shared by its processes; 0: all."""
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes that train together on one machine, on CUDA one per device. `training.batch_size` stays the rows of a step of
    all of them."""
    nodes: Annotated[int, Field(ge=1, le=64)] = 1
    """Machines that train together, each with `processes`; the others run `ftcore join` (docs/training.md)."""
    sharding: Literal["none", "full"] = "none"
    """How processes hold the model while training. none: each has all of it (DDP); full: weights, gradients and optimizer are cut
    up among them (FSDP2, CUDA only)."""
    attention: Literal["auto", "eager", "sdpa", "flash_attention_2"] = "auto"
    """Kernel of attention, by transformers' name. auto: eager on the CPU, sdpa on CUDA, or what the probe finds."""
    probe: bool = True
    """Measure before a training of 400 steps or more which attention kernel, number format, threads and optimizer kernel are the
    fastest, among those left at auto (threads: 0). Measured once for a machine, model and batch size."""
    timeout_hours: Annotated[float, Field(gt=0)] = 24.0
    """A stage that runs longer is ended."""
