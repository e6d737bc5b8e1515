"""Delivers the ledger's alert outbox: the log file always, then webhooks and apprise URLs of the spec and of the platform.

At least once per channel: a receipt is written after each delivery, so a crash between the two repeats one message and loses
none. A failed alert stays in the outbox and is tried again on a later sweep, at growing intervals. `${NAME}` in a URL is taken
from the environment at delivery, so no secret is stored, logged or shown: channels are named by scheme and host only.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import apprise
import httpx

from ftcore.errors import FtcoreError, ServiceUnavailable, UsageError
from ftcore.ledger import Alert, Ledger
from ftcore.records import canonical_json, digest_of
from ftcore.store import storage_errors

PLATFORM_URLS = "FTCORE_ALERT_URLS"
TIMEOUT_S = 10.0
FIRST_RETRY_S = 60.0
LAST_RETRY_S = 6 * 3600.0

_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_APPRISE_KIND = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}


@dataclass(frozen=True)
class Delivery:
    """What one sweep did."""

    delivered: int
    """Alerts that every channel has now."""
    failed: int
    """Alerts that some channel refused; they stay in the outbox."""
    waiting: int
    """Alerts whose next try is not due yet, or whose spec's own channels this sweep does not know."""


def deliver(
    ledger: Ledger,
    urls: Mapping[str, Sequence[str]],
    log: Path,
    *,
    all_specs: bool = False,
    now: datetime | None = None,
) -> Delivery:
    """One sweep over the outbox; safe to run as often as one likes.

    Every alert goes to the log and the platform's channels. It is done once its own spec's channels have it too, so an alert of
    a spec that `urls` lacks stays open for a sweep that knows them.

    Args:
        urls: Spec name -> `alerts.urls` of that spec.
        log: The file that gets every alert, `alerts.log` under FTCORE_HOME.
        all_specs: `urls` names every spec there is: an alert of any other name (a deleted spec, the platform) has no channels
            of its own to wait for.
    """
    at = now or datetime.now(UTC)
    counts = {"delivered": 0, "failed": 0, "waiting": 0}
    for alert in ledger.pending_alerts():
        if at < _due(alert):
            counts["waiting"] += 1
            continue
        known = all_specs or alert.spec in urls
        arrived = _deliver_one(ledger, alert, urls.get(alert.spec, ()), log, known)
        counts["failed" if not arrived else "delivered" if known else "waiting"] += 1
    return Delivery(**counts)


def _due(alert: Alert) -> datetime:
    """When the next try is due: 1, 2, 4 … minutes after the last failure, at most six hours."""
    if alert.tried_at is None:
        return datetime.min.replace(tzinfo=UTC)
    wait_s = min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** min(alert.attempts - 1, 20))
    return datetime.fromisoformat(alert.tried_at) + timedelta(seconds=wait_s)


def _deliver_one(ledger: Ledger, alert: Alert, urls: Sequence[str], log: Path, close: bool) -> bool:
    """Send to every channel that lacks it; `close` it if all have it. Returns whether no channel refused."""
    errors: list[str] = []
    channels = {"log": "", **{channel_name(url): url for url in (*urls, *platform_urls())}}
    missing = [channel for channel in channels if channel not in alert.channels_done]
    for channel in missing:
        try:
            if channel == "log":
                append_to_log(log, alert)
            else:
                send(channels[channel], alert)
        except FtcoreError as error:
            errors.append(f"{channel}: {error.message}")
        except Exception as error:  # noqa: BLE001 (an odd address or a faulty plugin must not keep the others from their alerts)
            errors.append(f"{channel}: {type(error).__name__}")  # its message may quote the address
        else:
            ledger.mark_delivered(alert.id, channel, last=close and channel == missing[-1] and not errors)
    if close and not missing:  # nothing left to send: a crash came before closing it, or the spec lost a channel since
        ledger.mark_delivered(alert.id, "log", last=True)
    if errors:
        ledger.mark_failed(alert.id, "; ".join(errors))
    return not errors


def platform_urls() -> list[str]:
    """Channels of the platform team, for the alerts of all specs: `$FTCORE_ALERT_URLS`, separated by white space."""
    return os.environ.get(PLATFORM_URLS, "").split()


def channel_name(url: str) -> str:
    """A name for receipts and error messages that shows no secret: scheme, host if it is a plain one, and a short digest."""
    try:
        parts = urlsplit(url)
    except ValueError:  # not an address; sending to it says so
        return f"url://#{digest_of(url)[:8]}"
    host = (parts.hostname or "") if parts.scheme in ("http", "https") and "${" not in parts.netloc else ""
    return f"{parts.scheme or 'url'}://{host}#{digest_of(url)[:8]}"


def expand(url: str) -> str:
    """Replace each `${NAME}` by the environment variable.

    Raises:
        UsageError: A variable is not set; the message names it, never its value.
    """
    missing = [name for name in _VARIABLE.findall(url) if not os.environ.get(name)]
    if missing:
        raise UsageError(f"An alert URL needs ${{{missing[0]}}}, which is not set.", hint=f"export {missing[0]}=…")
    return _VARIABLE.sub(lambda match: os.environ[match.group(1)], url)


def append_to_log(path: Path, alert: Alert) -> None:
    """Append one JSON line and sync it."""
    line = canonical_json(payload(alert)) + "\n"
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def payload(alert: Alert) -> dict[str, Any]:
    """What a webhook gets. `id` stays the same when a delivery is repeated, so receivers can drop doubles."""
    return {
        "id": alert.dedupe_key,
        "at": alert.created_at,
        "spec": alert.spec,
        "severity": alert.severity,
        "title": alert.title,
        "body": alert.body,
        "links": dict(alert.links),
    }


def send(url: str, alert: Alert) -> None:
    """Deliver to one URL: http and https get the payload as JSON by POST, anything else goes through apprise.

    Raises:
        UsageError: The URL needs a variable that is not set, or no service understands it.
        ServiceUnavailable: It did not answer within 10 s, or answered with an error.
    """
    target = expand(url)
    if target.partition("://")[0].lower() in ("http", "https"):
        _post(target, alert)
        return
    service = apprise.Apprise()
    if not service.add(target):
        raise UsageError("Apprise does not understand this URL.", hint="https://appriseit.com/services/")
    links = "".join(f"\n{name}: {address}" for name, address in alert.links.items())
    if not service.notify(body=alert.body + links, title=alert.title, notify_type=_APPRISE_KIND[alert.severity]):
        raise ServiceUnavailable("The service did not take the message.")


def _post(target: str, alert: Alert) -> None:
    try:
        # trust_env: a proxy is honoured for real hosts; redirects are not followed, they could leave the named host.
        response = httpx.post(
            target,
            content=json.dumps(payload(alert)).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "ftcore"},
            timeout=TIMEOUT_S,
        )
    except httpx.InvalidURL:
        raise UsageError("The webhook address is not a URL.") from None
    except httpx.HTTPError as error:
        raise ServiceUnavailable(f"The webhook did not answer ({type(error).__name__}).") from None
    if response.status_code >= 300:
        raise ServiceUnavailable(f"The webhook answered {response.status_code}.")
