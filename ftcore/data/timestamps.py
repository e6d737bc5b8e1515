"""When a row was written, as a number that can be compared."""

from __future__ import annotations

from datetime import UTC, datetime


def moment(timestamp: str | None) -> float | None:
    """Seconds since 1970 of an ISO 8601 time (UTC where no zone is given) or of a number of seconds; None: neither."""
    if not timestamp:
        return None
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        try:
            return float(timestamp)
        except ValueError:
            return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
