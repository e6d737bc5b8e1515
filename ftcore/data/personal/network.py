"""IP addresses. Loopback and unspecified addresses name nobody and are left alone."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator

from ftcore.data.personal.spans import PersonalSpan

_V4 = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?!\w|\.\d|-\w)")
_V6 = re.compile(
    r"(?<![\w:.])(?=[0-9a-fA-F:]*:[0-9a-fA-F:]*:)[0-9a-fA-F:]{4,39}(?:(?<=:)\d{1,3}(?:\.\d{1,3}){3})?(?![\w:])"
)
_VERSION = re.compile(
    r"""(?:\b(?:v|ver|vers|version|versions|release|rev|revision|build|firmware|fw|software|app|driver|patch|update[ds]?|upgrade[ds]?
    |sdk|api|package|section|sec|chapter|clause|paragraph|article|figure|table|§|os|ios|android|chrome|edge|opera)\b
    [\s:#=]*(?:number|no\.?|code|is|to|from|was)?[\s:#=]*|\bv|§\s?)\Z""",
    re.VERBOSE | re.IGNORECASE,
)


def find_ips(text: str) -> Iterator[PersonalSpan]:
    """IPv4 and IPv6; four numbers with dots after "version" and the like are no address."""
    if "." in text:
        for match in _V4.finditer(text):
            if _is_address(match.group()) and not _VERSION.search(text[max(0, match.start() - 40) : match.start()]):
                yield PersonalSpan(match.start(), match.end(), "ip")
    if text.count(":") >= 2:
        for match in _V6.finditer(text):
            value = match.group().rstrip(":") if not match.group().endswith("::") else match.group()
            # dead::beef and std:: like names are code; an address without a digit is not worth the mistake.
            if any(char.isdigit() for char in value) and _is_address(value):
                yield PersonalSpan(match.start(), match.start() + len(value), "ip")


def _is_address(value: str) -> bool:
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)
