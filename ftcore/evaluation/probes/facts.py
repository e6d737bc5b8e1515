"""Numbers, dates, names and word triples of a text, in forms in which equal things are equal; by rules, without a model.

A number or date that can be read in two ways (1.000; 03/05) has both readings, and is supported if the source has either.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from ftcore.evaluation.generation.row_statistics import words

NGRAM = 3
_GREETING = 60  # characters
Readings = frozenset[str]
"""All that one written number or date may mean."""

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november",
           "december")  # fmt: skip
_MONTH = "(?P<month>" + "|".join(f"{name}|{name[:3]}" for name in _MONTHS) + r"|sept)\.?"
_YEAR = r"(?:,?\s+(?P<year>(?:19|20)\d\d))?"
_DATES = tuple(re.compile(pattern, re.IGNORECASE) for pattern in (
    r"\b(?P<year>(?:19|20)\d\d)-(?P<m>\d\d)-(?P<day>\d\d)(?!\d)",
    r"\b(?P<a>\d{1,2})(?P<mark>[./])(?P<b>\d{1,2})(?P=mark)(?P<year>(?:19|20)\d\d)\b",
    rf"\b(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.)?\s+(?:of\s+)?{_MONTH}\b{_YEAR}",
    rf"\b{_MONTH}\s+(?:the\s+)?(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\d){_YEAR}",
))  # fmt: skip
_LISTING = re.compile(r"^\s*\d{1,2}[.)]\s", re.MULTILINE)
_NUMBER = re.compile(r"(?<![^\W_])\d+(?:[.,:'\u00a0\u202f]\d+)*")
_NUMBER_WORDS = {
    word: str(value)
    for value, word in enumerate(
        [
            "zero",
            "one",
            "two",
            "three",
            "four",
            "five",
            "six",
            "seven",
            "eight",
            "nine",
            "ten",
            "eleven",
            "twelve",
            "thirteen",
            "fourteen",
            "fifteen",
            "sixteen",
            "seventeen",
            "eighteen",
            "nineteen",
            "twenty",
        ]
    )
} | {"thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "ninety": "90", "hundred": "100"}
_ADDRESS = re.compile(r"\b(?:https?://|www\.)[^\s<>()\"']+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+", re.IGNORECASE)
_CODE = re.compile(r"(?<![\w-])(?=[\w-]*[A-Za-z])(?=[\w-]*\d)[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*(?![\w-])")
_ORDINAL = re.compile(r"\d+(?:st|nd|rd|th|[a-z]{1,3})", re.IGNORECASE)  # 3rd, 14d, 20kg: numbers with a unit
_CAPITALISED = re.compile(r"[^\W\d_][^\W\d_]*(?:['’-][^\W\d_]+)*")
_STARTS = re.compile(r"(?:^|[.!?:;…\n]|[-*•]\s)[\s\"'“‘(\[*_]*$")
_GREETED = re.compile(r"(?:^|\n)[^\W\d_]+(?: [^\W\d_]+){0,3},[\s\"'“‘]*$")  # after "Dear Mr Smith," a sentence begins


@dataclass(frozen=True)
class Facts:
    """What a text states, each thing once."""

    numbers: frozenset[Readings]
    dates: frozenset[Readings]
    """Readings as `2026-05-03`, `?` for a year that is not said."""
    entities: frozenset[str]
    """Names, codes, e-mail addresses and web addresses, in lower case."""
    ngrams: frozenset[tuple[str, ...]]
    """Runs of NGRAM words."""


def facts_of(text: str) -> Facts:
    """The facts of an answer."""
    text = unicodedata.normalize("NFKC", text)
    dates, rest = _take_dates(_LISTING.sub(" ", text))
    addresses = {match.group().rstrip(".,;:!?").lower() for match in _ADDRESS.finditer(rest)}
    rest = _ADDRESS.sub(" ", rest)
    codes = {match.group() for match in _CODE.finditer(rest) if not _ORDINAL.fullmatch(match.group())}
    plain = _CODE.sub(lambda match: match.group() if _ORDINAL.fullmatch(match.group()) else " ", rest)
    numbers = frozenset(number_readings(match.group()) for match in _NUMBER.finditer(plain))
    return Facts(
        numbers, dates, frozenset({*addresses, *(code.lower() for code in codes), *_names(rest)}), ngrams(text)
    )


@dataclass(frozen=True)
class Source:
    """What an answer may rest on."""

    numbers: frozenset[str]
    dates: frozenset[str]
    text: str
    """Lower case."""
    words: frozenset[str]
    ngrams: frozenset[tuple[str, ...]]


def source_of(text: str) -> Source:
    """A prompt as support: also numbers in words, and the digits of dates and codes."""
    text = unicodedata.normalize("NFKC", text)
    dates, _ = _take_dates(text)
    found = words(text)
    digits = {
        reading
        for match in re.finditer(r"\d+(?:[.,:'\u00a0\u202f]\d+)*", text)
        for reading in number_readings(match.group())
    }
    spelt = {_NUMBER_WORDS[word] for word in found if word in _NUMBER_WORDS}
    return Source(
        frozenset(digits | spelt), frozenset(reading for date in dates for reading in date), text.lower(), frozenset(found),
        ngrams(text),
    )  # fmt: skip


def unsupported(facts: Facts, source: Source) -> dict[str, tuple[int, int]]:
    """By kind: how many of the answer's facts the source does not have, and how many there are."""
    return {
        "numbers": (sum(not number & source.numbers for number in facts.numbers), len(facts.numbers)),
        "dates": (sum(not same_date(date, source.dates) for date in facts.dates), len(facts.dates)),
        "entities": (sum(not _is_known(name, source) for name in facts.entities), len(facts.entities)),
        "ngrams": (len(facts.ngrams - source.ngrams), len(facts.ngrams)),
    }  # fmt: skip


def number_readings(written: str) -> Readings:
    """What a number may mean: `1,000` 1000 or 1 with three decimals; `1.000,50` only 1000.5; `14:30` itself."""
    if ":" in written:
        return frozenset({written})
    plain = re.sub(r"['\u00a0\u202f]", "", written)
    found = set()
    for group, point in ((",", "."), (".", ",")):
        if re.fullmatch(rf"\d{{1,3}}(?:\{group}\d{{3}})+(?:\{point}\d+)?", plain) or group not in plain:
            found.add(_canonical(plain.replace(group, "").replace(point, ".")))
    return frozenset(found) or frozenset({plain})


def _canonical(number: str) -> str:
    """Without zeros that say nothing; a version (1.2.3) stays as it is."""
    whole, *rest = number.split(".")
    if len(rest) > 1:
        return number
    decimals = rest[0].rstrip("0") if rest else ""
    return (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "")


def _take_dates(text: str) -> tuple[frozenset[Readings], str]:
    """The dates of a text, and the text without them."""
    found: set[Readings] = set()
    for pattern in _DATES:
        for match in pattern.finditer(text):
            if readings := _date_readings({name: value for name, value in match.groupdict().items() if value}):
                found.add(readings)
        text = pattern.sub(lambda match: " " if _date_readings(match.groupdict()) else match.group(), text)
    return frozenset(found), text


def _date_readings(parts: dict[str, str]) -> Readings:
    """Empty where there is no such day."""
    year = parts.get("year") or "?"
    if parts.get("month"):
        days = [(1 + [name[:3] for name in _MONTHS].index(parts["month"][:3].lower()), int(parts["day"]))]
    elif parts.get("m"):
        days = [(int(parts["m"]), int(parts["day"]))]
    else:
        days = [(int(parts["b"]), int(parts["a"])), (int(parts["a"]), int(parts["b"]))]
    return frozenset(f"{year}-{month:02}-{day:02}" for month, day in days if 1 <= month <= 12 and 1 <= day <= 31)


def same_date(one: Readings, other: Readings) -> bool:
    """Whether two dates may be the same day; a year that is not said fits any."""
    return any(_same_day(ours, theirs) for ours in one for theirs in other)


def _same_day(one: str, other: str) -> bool:
    (year, _, day), (other_year, _, other_day) = one.partition("-"), other.partition("-")
    return day == other_day and (year == other_year or "?" in (year, other_year))


def _names(text: str) -> set[str]:
    """Runs of capitalised words; the first word of a sentence or line only counts where it is written all in capitals."""
    found: set[str] = set()
    run: list[str] = []
    end = 0
    for match in _CAPITALISED.finditer(text):
        word = match.group()
        joins = bool(run) and re.fullmatch(r"[ \u00a0]", text[end : match.start()]) is not None
        before = text[: match.start()]
        first = _STARTS.search(before[-20:]) is not None or (
            len(before) < _GREETING and _GREETED.search(before) is not None
        )
        is_name = word[0].isupper() and word not in ("I",) and not word.startswith(("I'", "I’"))
        if is_name and first and not (len(word) > 1 and word.isupper()):
            is_name = False
        if run and not (joins and is_name):
            found.add(" ".join(run))
            run = []
        if is_name:
            run.append(word.lower())
            end = match.end()
    if run:
        found.add(" ".join(run))
    return found


def _is_known(name: str, source: Source) -> bool:
    """Addresses and codes as they are; of a name each word, in any order."""
    return (
        name in source.text or all(word in source.words for word in words(name)) and "@" not in name and "/" not in name
    )


def ngrams(text: str) -> frozenset[tuple[str, ...]]:
    """Runs of NGRAM words in lower case."""
    found = words(text)
    return frozenset(zip(*(found[start:] for start in range(NGRAM)), strict=False))
