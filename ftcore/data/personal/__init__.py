"""Personal data and secrets in text: found by shape and check digits, never by learning, and never shown.

Names and postal addresses have no check digits and are not looked for, unless another engine (`Finder`) adds what it finds.
What is found is told by kind and place only.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence

from ftcore.data.personal.contact import find_emails, find_phones
from ftcore.data.personal.network import find_ips
from ftcore.data.personal.numbers import find_cards, find_ibans, find_national_ids
from ftcore.data.personal.secrets import find_secrets
from ftcore.data.personal.spans import KINDS, Finder, PersonalSpan, add_spans, merge_spans

REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "AU", "IN", "BR")
"""Default of `prepare.phone_regions`: countries whose phone numbers are known without a leading +."""
# Without six digits close together there is no other number of a person, and most rows have none: one pass clears them.
_SIX_DIGITS = re.compile(r"\d(?:\D{0,3}\d){5}")


def find_personal(
    text: str, kinds: Collection[str] = KINDS, regions: Sequence[str] = REGIONS, more: Finder | None = None
) -> list[PersonalSpan]:
    """Hits sorted by place; none overlap.

    Args:
        kinds: What to look for, out of KINDS.
        regions: Countries (ISO 3166) whose phone numbers count without a leading +.
        more: Another engine. Where its hits overlap those found here, only the rest of them is added: check digits are
            stricter. Of KINDS it adds those in `kinds`, of others all that it finds.
    """
    found = merge_spans(span for span in _candidates(text, kinds, regions) if span.kind in kinds)
    if more is None:
        return found
    return add_spans(text, found, [span for span in more(text) if span.kind in kinds or span.kind not in KINDS])


def _candidates(text: str, kinds: Collection[str], regions: Sequence[str]) -> Iterator[PersonalSpan]:
    if "secret" in kinds:
        yield from find_secrets(text)
    if "email" in kinds and "@" in text:
        yield from find_emails(text)
    if "ip" in kinds and (":" in text or "." in text):
        yield from find_ips(text)
    if "iban" in kinds:
        yield from find_ibans(text)
    if not _SIX_DIGITS.search(text):
        return
    if "card" in kinds:
        yield from find_cards(text)
    if "national_id" in kinds:
        yield from find_national_ids(text)
    if "phone" in kinds:
        yield from find_phones(text, regions)


def redact(
    text: str, kinds: Collection[str] = KINDS, regions: Sequence[str] = REGIONS, more: Finder | None = None
) -> str:
    """The text with every hit replaced by its kind: `[EMAIL]`, `[NATIONAL_ID]`.

    Repeated until nothing is found: what stood between two values may look like a third one once they are gone. So redacting
    twice changes nothing.
    """
    while spans := find_personal(text, kinds, regions, more):
        ends = [0, *(span.end for span in spans)]
        kept = [f"{text[end : span.start]}[{span.kind.upper()}]" for end, span in zip(ends, spans, strict=False)]
        text = "".join(kept) + text[ends[-1] :]
    return text


def count_personal(
    texts: Iterable[str],
    kinds: Collection[str] = KINDS,
    regions: Sequence[str] = REGIONS,
    more: Finder | None = None,
) -> dict[str, int]:
    """Hits per kind over all texts, sorted; kinds without hits are left out."""
    hits = (span.kind for text in texts for span in find_personal(text, kinds, regions, more))
    return dict(sorted(Counter(hits).items()))


__all__ = ["KINDS", "REGIONS", "Finder", "PersonalSpan", "count_personal", "find_personal", "redact"]
