"""Email addresses and phone numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache

from ftcore.data.personal.spans import PersonalSpan

# An address is found from its @ outwards: a pattern for the whole would try every start of a long word.
_LOCAL = re.compile(r"[\w!#$%&'*+?^`{|}~.-]{1,64}\Z")
_QUOTED = re.compile(r'"[^"\n@]{1,62}"\Z')
_DOMAIN = re.compile(r"@((?:[^\W_](?:[\w-]{0,61}[^\W_])?\.)+(?:xn--[a-zA-Z0-9-]{2,59}|[^\W\d_]{2,24}))(?![\w@])")
# photo@2x.png, package@next.js, git@host:path: an @, and no mailbox.
_FILES = re.compile(r"png|jpe?g|gif|svg|webp|css|js|ts|json|py|md|html|pdf|zip|csv|txt|ya?ml", re.IGNORECASE)
_PATH = re.compile(r":[\w~.-]+/")


def find_emails(text: str) -> Iterator[PersonalSpan]:
    at = text.find("@")
    while at >= 0:
        domain = _DOMAIN.match(text, at)
        local = domain and (_LOCAL.search(text, max(0, at - 64), at) or _QUOTED.search(text, max(0, at - 64), at))
        if domain and local and not _is_other(text, domain, local.group()):
            start = local.start() + len(local.group()) - len(local.group().lstrip(".'`*-|~{!?"))
            if start < at and text[at - 1] != ".":
                yield PersonalSpan(start, domain.end(), "email")
        at = text.find("@", at + 1)


def _is_other(text: str, domain: re.Match[str], local: str) -> bool:
    return _FILES.fullmatch(domain[1].rpartition(".")[2]) is not None or (
        local == "git" and _PATH.match(text, domain.end()) is not None
    )


_RUN = re.compile(
    r"(?<![\w.,:/#=$€£¥-])[+(\uff0b\d][\d\s().\-/\u2010-\u2013]{5,40}\d(?:\s?(?:x|ext\.?)\s?\d{1,6})?(?![\w%€£¥]|[.,:]\d|-\w|-\d)"
)
# What a run of digits may be instead. These are blanked first, so that a phone number beside a date is still seen.
_NO_PHONE = re.compile(
    r"""\b(?:19|20)\d\d[-./](?:0?[1-9]|1[0-2])[-./](?:[12]\d|3[01]|0?[1-9])(?:[T\s]+\d{1,2}[:.]\d\d(?:[:.]\d\d)?)?(?!\d)
      | \b(?:[12]\d|3[01]|0?[1-9])[-./](?:[12]\d|3[01]|0?[1-9])[-./](?:19|20)\d\d(?!\d)
      | (?<![+\d.])\d{1,3}(?:\.\d{1,3}){3}(?!\.?\d)                                # IP address or version
      | \b97[89](?:[-\s]?\d){10}(?!\d)                                    # ISBN
      | \b(?:\d{4}[-\s]){3,4}\d{1,4}(?!\d)                                # card-like
      | \b[A-Z]{2}\d{2}\s?(?:[A-Z0-9]{4}\s?){2,7}[A-Z0-9]{0,4}\b          # IBAN-like
      | \b\d{1,2}:\d\d(?::\d\d)?(?!\d)
    """,
    re.VERBOSE,
)
_CALL = re.compile(
    r"""\b(?:call(?:s|ed|ing)?|phone[ds]?|tel|telephone|mobile|mob|cell|ring|fax|whats\s?app|sms|text(?:ed)?|contact|reach
      (?:able|ed)?|dial(?:led)?|hotline|landline|signal|my\snumber|handy|telefon(?:o|nummer)?|tel[eé]fono|t[eé]l(?:[eé]phone)?
      |m[oó]vil|portable|celular|cellulare|rufnummer|mobiel|num[eé]ro\sde\st[eé]l[eé]phone)\b[^\n]{0,30}\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_OTHER_NUMBER = re.compile(
    r"""(?:\b(?:order|invoice|inv|ref|reference|ticket|case|tracking|parcel|shipment|account|acct|a/c|serial|isbn|ean|upc|sku
      |transaction|txn|trx|card|iban|policy|booking|confirmation|receipt|batch|item|product|part|model|imei|meter|customer
      |client|member(?:ship)?|licen[cs]e|passport|version|build|id|vat|tax|zip|zip\scode|postcode|plz|bestellung|rechnung|commande|facture|pedido|factura
      |kundennummer|po|rma|barcode|gtin|timestamp|epoch)\b
      (?:\s?(?:number|num|nummer|no\.?|nr\.?|id|code|ref|reference))?[\s:#=(]*(?:is|was|are|of|ist|est|es)?[\s:#=]*|\#\s?)\Z""",
    re.VERBOSE | re.IGNORECASE,
)
_LOOK_BACK = 60
_DIGITS = re.compile(r"\d+")
_EXTENSION = re.compile(r"\s?(?:x|ext\.?)\s?\d+\Z")
_MAX_GROUPS = 10
"""More groups of digits in 42 characters are a table of numbers; libphonenumber would try every part of it."""


def find_phones(text: str, regions: Sequence[str]) -> Iterator[PersonalSpan]:
    """Valid numbers of any country in international form, and of `regions` as they are written at home.

    libphonenumber says what is valid. A national number without any gaps is as good as any other run of digits, so it counts
    only with a trunk 0 in front, or after a word such as "call" or "tel"; "order number" before it rules it out.
    """
    blanked = _NO_PHONE.sub(lambda match: ";" * len(match.group()), text)
    for run in _RUN.finditer(blanked):
        if len(_DIGITS.findall(run.group())) <= _MAX_GROUPS:
            yield from _phones_in(blanked[run.start() : run.end() + 1], run.start(), text, regions)


def _phones_in(run: str, offset: int, text: str, regions: Sequence[str]) -> Iterator[PersonalSpan]:
    from phonenumbers import Leniency, PhoneNumberMatcher

    found = set()
    searches: list[tuple[str | None, int]] = [(region, Leniency.VALID) for region in regions]
    if "+" in run or "\uff0b" in run:  # nothing else is written like that: the right length will do
        searches.append((None, Leniency.POSSIBLE))
    for region, leniency in searches:
        for match in PhoneNumberMatcher(run, region, leniency, max_tries=20):
            start, raw = offset + match.start, match.raw_string
            if raw.startswith("(") and ")" not in raw:  # the bracket around it, not around its area code
                start, raw = start + 1, raw[1:]
            if _is_phone(raw, text[max(0, start - _LOOK_BACK) : start], region):
                found.add((start, offset + match.end))
    # Part of a number may be a number elsewhere: overlapping hits become one.
    for start, end in found:
        yield PersonalSpan(start, end, "phone")


def _is_phone(raw: str, before: str, region: str | None) -> bool:
    if raw.lstrip("( ")[:1] in "+\uff0b":
        return True
    if _OTHER_NUMBER.search(before):
        return False
    if _CALL.search(before):
        return True
    groups = _DIGITS.findall(_EXTENSION.sub("", raw))
    if len(groups) == 1:
        return raw.startswith("0") and 10 <= len(raw) <= 11
    if _trunk_prefix(region) == "1":  # North America: 3-3-4; anything else is more likely a ZIP code or a range
        return [len(group) for group in groups[-3:]] == [3, 3, 4] and groups[:-3] in ([], ["1"])
    if sum(map(len, groups)) < 9 and not groups[0].startswith("0"):
        return False  # "about 841 308 rows"
    sound = max(map(len, groups)) <= 8 and min(map(len, groups)) >= 2 and len(groups) <= 6
    return sound and (groups[0].startswith("0") or _trunk_prefix(region) != "0" or region in _TRUNK_LEFT_OUT)


# Here the trunk 0 is seldom written before mobile numbers.
_TRUNK_LEFT_OUT = frozenset({"IN", "BR", "CN"})


@cache
def _trunk_prefix(region: str | None) -> str:
    from phonenumbers import PhoneMetadata

    metadata = PhoneMetadata.metadata_for_region(region) if region else None
    return (metadata.national_prefix or "") if metadata else ""
