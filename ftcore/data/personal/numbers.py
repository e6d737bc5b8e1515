"""Payment cards, bank accounts and national numbers: a shape, then the check digits."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ftcore.data.personal import checksums
from ftcore.data.personal.spans import PersonalSpan

_NO_DIGITS = re.compile(r"\D")
_CARD = re.compile(
    r"(?<![\w.-])(?:\d{13,19}|\d{4}([ -])\d{4}\1\d{4}\1\d{4}(?:\1\d{3})?|\d{4}([ -])\d{6}\2\d{4,5})(?!\w|[.-]\d)",
    re.ASCII,
)
# Goods, devices and shipments are numbered as long as cards, and one number in ten passes Luhn by chance.
_GOODS = re.compile(
    r"\b(?:ean|gtin|upc|imei|imsi|serial|tracking|barcode|order|invoice|timestamp|epoch)\b[^\n\d]{0,16}\Z",
    re.IGNORECASE,
)


def find_cards(text: str) -> Iterator[PersonalSpan]:
    """Numbers of the large card schemes: first digits and length as issued, and the Luhn check."""
    for match in _CARD.finditer(text):
        digits = _NO_DIGITS.sub("", match.group())
        if (
            _is_issued(digits)
            and checksums.luhn(digits)
            and not _GOODS.search(text[max(0, match.start() - 30) : match.start()])
        ):
            yield PersonalSpan(match.start(), match.end(), "card")


def _is_issued(digits: str) -> bool:
    head, length = int(digits[:4]), len(digits)
    if digits[0] == "4":  # Visa
        return length in (13, 16, 19)
    if head in (2131, 1800):  # JCB, fifteen digits
        return length == 15
    if 5100 <= head <= 5599 or 2221 <= head <= 2720:  # Mastercard
        return length == 16
    if digits[:2] in ("34", "37"):  # American Express
        return length == 15
    if digits[:2] in ("36", "38", "39") or 3000 <= head <= 3059:  # Diners Club
        return 14 <= length <= 19
    if 3528 <= head <= 3589 or head == 6011 or 6440 <= head <= 6599 or digits[:2] in ("62", "60", "81", "82"):
        return 16 <= length <= 19  # JCB, Discover, UnionPay, RuPay
    return digits[:2] in ("50", "56", "57", "58", "63", "67", "69") and length in (16, 18, 19)  # Maestro


_IBAN = re.compile(r"(?<![A-Za-z0-9])([A-Za-z]{2})[ -]?(\d{2})(?:[ -]?[A-Za-z0-9]){11,30}", re.ASCII)


def find_ibans(text: str) -> Iterator[PersonalSpan]:
    """IBANs of every country in the registry, with gaps or without; modulo 97 must give 1."""
    for match in _IBAN.finditer(text):
        length = checksums.iban_length(match[1].upper())
        end = _end_of(text, match.start(), length)
        if end and checksums.iban(re.sub("[ -]", "", text[match.start() : end]).upper()):
            yield PersonalSpan(match.start(), end, "iban")


def _end_of(text: str, start: int, length: int) -> int:
    """Where the `length`-th character that is not a gap ends; 0 if the word goes on, or there are too few."""
    seen = 0
    for place in range(start, min(len(text), start + 2 * length)):
        if not (text[place].isascii() and (text[place].isalnum() or text[place] in " -")):
            return 0
        seen += text[place] not in " -"
        if seen == length and length:
            after = text[place + 1 : place + 2]
            return 0 if after.isalnum() else place + 1
    return 0


@dataclass(frozen=True)
class _Id:
    shape: re.Pattern[str]
    check: Callable[[str], bool]
    """Takes the shape's characters without `gaps`, in capitals."""
    words: re.Pattern[str] | None = None
    """Where check digits pass one run of digits in ten by chance, one of these must stand before it."""
    gaps: str = " .-"


def _shape(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.+-]){pattern}(?!\w|[.-]\d)", re.IGNORECASE | re.ASCII)


def _words(*words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(words)})\b[^\n]{{0,30}}\Z", re.IGNORECASE)


_IDS = (
    _Id(_shape(r"(?!000|666|9\d\d)\d{3}-(?!00)\d\d-(?!0000)\d{4}"), lambda _: True),  # US: no check digit, a shape of its own
    _Id(_shape(r"(?!000|666|9\d\d)\d{3} ?(?!00)\d\d ?(?!0000)\d{4}"), lambda _: True, _words("ssn", "social security")),
    _Id(_shape(r"\d{3}\.\d{3}\.\d{3}-\d\d"), checksums.cpf),
    _Id(_shape(r"\d{11}"), checksums.cpf, _words("cpf")),
    _Id(_shape(r"(?:\d{8}|[xyz]-?\d{7})-?[a-z]"), checksums.dni),
    _Id(_shape(r"[12] ?\d\d ?(?:0[1-9]|1[0-2]|[2-9]\d) ?(?:\d\d|2[ab]) ?\d{3} ?\d{3} ?\d\d"), checksums.nir),
    _Id(_shape(r"\d{3}[ -]\d{3}[ -]\d{4}|\d{10}"), checksums.nhs, _words("nhs", "national health", "health number")),
    _Id(_shape(r"\d{11}"), checksums.pesel, _words("pesel")),
    _Id(_shape(r"\d{4}[ .]?\d\d[ .]?\d{3}"), checksums.bsn, _words("bsn", "burgerservicenummer", "sofinummer")),
    _Id(_shape(r"\d\d ?\d{3} ?\d{3} ?\d{3}"), checksums.steuer_id, _words("steuer", r"steuer\W?id\w*", "steuernummer",
        "idnr", "tax", "tin", r"steuer\w+")),
    _Id(_shape(r"(?:19|20)?\d{6}[-+]\d{4}"), lambda value: checksums.personnummer(value.replace("+", "")[-10:])),
    _Id(_shape(r"\d{6}[-+a-fu-y]\d{3}[0-9a-y]"), checksums.hetu, gaps=""),
    _Id(_shape(r"[a-z]{6}\d\d[a-ehlmprst]\d\d[a-z]\d{3}[a-z]"), checksums.codice_fiscale),
    _Id(_shape(r"(?<!\d[ -])[2-9]\d{3}([ -])\d{4}\1\d{4}(?![ -]\d)"), checksums.verhoeff),
    _Id(_shape(r"[2-9]\d{11}"), checksums.verhoeff, _words("aadhaar", "aadhar", "uidai")),
)  # fmt: skip


def find_national_ids(text: str) -> Iterator[PersonalSpan]:
    """Numbers that states give to persons: US, BR, ES, FR, GB (NHS), PL, NL, DE, SE, FI, IT, IN."""
    for kind in _IDS:
        for match in kind.shape.finditer(text):
            before = text[max(0, match.start() - 60) : match.start()]
            wanted = kind.words.search(before) if kind.words else not _GOODS.search(before)
            # Shapes are ASCII; a letter beyond it still belongs to the word.
            if not wanted or text[match.end() : match.end() + 1].isalnum():
                continue
            value = match.group().upper().translate(str.maketrans("", "", kind.gaps))
            if kind.check(value):
                yield PersonalSpan(match.start(), match.end(), "national_id")
