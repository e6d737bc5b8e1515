"""Check digits of card, account and national numbers. Each takes the bare characters and says whether they add up."""

from __future__ import annotations

import datetime
from collections.abc import Sequence


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B: payment cards, Swedish personal numbers."""
    total = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


# Length per country, from the registry of ISO 13616.
_IBAN_LENGTHS = {
    **dict.fromkeys(["NO"], 15),
    **dict.fromkeys(["BE"], 16),
    **dict.fromkeys(["DK", "FI", "FK", "FO", "GL", "NL", "SD"], 18),
    **dict.fromkeys(["MK", "SI"], 19),
    **dict.fromkeys(["AT", "BA", "EE", "KZ", "LT", "LU", "XK", "MN"], 20),
    **dict.fromkeys(["CH", "CR", "HR", "LI", "LV"], 21),
    **dict.fromkeys(["BG", "BH", "DE", "GB", "GE", "IE", "ME", "RS"], 22),
    **dict.fromkeys(["AE", "GI", "IL", "IQ", "OM", "SO", "TL"], 23),
    **dict.fromkeys(["AD", "CZ", "ES", "MD", "PK", "RO", "SA", "SE", "SK", "TN", "VG"], 24),
    **dict.fromkeys(["LY", "PT", "ST"], 25),
    **dict.fromkeys(["IS", "TR"], 26),
    **dict.fromkeys(["BI", "DJ", "FR", "GR", "IT", "MC", "MR", "SM"], 27),
    **dict.fromkeys(["AL", "AZ", "BY", "CY", "DO", "GT", "HN", "HU", "LB", "NI", "PL", "SV"], 28),
    **dict.fromkeys(["BR", "EG", "PS", "QA", "UA"], 29),
    **dict.fromkeys(["JO", "KW", "MU", "YE"], 30),
    **dict.fromkeys(["MT", "SC"], 31),
    **dict.fromkeys(["LC"], 32),
    **dict.fromkeys(["RU"], 33),
}


def iban_length(country: str) -> int:
    """Characters of an IBAN of this country; 0 where there is none."""
    return _IBAN_LENGTHS.get(country, 0)


def iban(value: str) -> bool:
    """ISO 13616: the first four characters moved to the end, letters as 10 to 35, modulo 97 gives 1."""
    if len(value) != iban_length(value[:2]):
        return False
    return int("".join(str(int(char, 36)) for char in value[4:] + value[:4])) % 97 == 1


def weighted(digits: str, weights: Sequence[int]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def cpf(digits: str) -> bool:
    """Brazil: two check digits modulo 11."""
    if len(set(digits)) == 1:
        return False
    first = weighted(digits, range(10, 1, -1)) * 10 % 11 % 10
    second = weighted(digits, range(11, 1, -1)) * 10 % 11 % 10
    return digits[9:] == f"{first}{second}"


def nhs(digits: str) -> bool:
    """England and Wales, NHS number: modulo 11 over ten digits."""
    check = 11 - weighted(digits, range(10, 1, -1)) % 11
    return check != 10 and int(digits[9]) == check % 11


def nir(value: str) -> bool:
    """France, social security number: 97 minus the number modulo 97; Corsica's 2A and 2B count as 19 and 18."""
    number = value[:13].replace("2A", "19").replace("2B", "18")
    return number.isdigit() and 97 - int(number) % 97 == int(value[13:])


def dni(value: str) -> bool:
    """Spain, DNI and NIE: the letter is the number modulo 23; X, Y, Z in front count as 0, 1, 2."""
    number = value[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == value[-1]


def pesel(digits: str) -> bool:
    """Poland: a date of birth and a check digit with the weights 1, 3, 7, 9."""
    century = (1900, 2000, 2100, 2200, 1800)[int(digits[2:4]) // 20]
    born = _is_date(century + int(digits[:2]), int(digits[2:4]) % 20, int(digits[4:6]))
    return born and weighted(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def bsn(digits: str) -> bool:
    """Netherlands, citizen service number: the eleven test."""
    return int(digits) > 0 and (weighted(digits, range(9, 1, -1)) - int(digits[8])) % 11 == 0


def steuer_id(digits: str) -> bool:
    """Germany, tax number: ISO/IEC 7064 MOD 11,10; of the first ten digits one occurs twice or three times."""
    if digits[0] == "0" or len(set(digits[:10])) not in (8, 9):
        return False
    product = 10
    for digit in digits[:10]:
        product = ((int(digit) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def personnummer(digits: str) -> bool:
    """Sweden: a date of birth (day + 60 for coordination numbers) and Luhn over ten digits."""
    day = int(digits[4:6])
    return _is_date(2000 + int(digits[:2]), int(digits[2:4]), day - 60 if day > 60 else day) and luhn(digits)


def hetu(value: str) -> bool:
    """Finland: a date of birth, and the nine digits modulo 31 as a character."""
    number = value[:6] + value[7:10]
    born = _is_date(2000 + int(value[4:6]), int(value[2:4]), int(value[:2]))
    return born and "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(number) % 31] == value[10]


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
         22, 25, 24, 23),
        strict=True,
    )
)  # fmt: skip


def codice_fiscale(value: str) -> bool:
    """Italy: odd places by table, even places by value, modulo 26 gives the last letter."""
    total = sum(
        _ODD[char] if place % 2 == 0 else (int(char) if char.isdigit() else ord(char) - 65)
        for place, char in enumerate(value[:15])
    )
    return chr(65 + total % 26) == value[15]


def verhoeff(digits: str) -> bool:
    """India, Aadhaar: Verhoeff's scheme over the dihedral group of order 10."""
    check = 0
    for place, char in enumerate(reversed(digits)):
        value = int(char)
        for _ in range(place % 8):
            value = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)[value]
        check = _dihedral(check, value)
    return check == 0


def _dihedral(left: int, right: int) -> int:
    if left < 5:
        return (left + right) % 5 if right < 5 else 5 + (left + right) % 5
    return 5 + (left - right) % 5 if right < 5 else (left - right) % 5


def _is_date(year: int, month: int, day: int) -> bool:
    try:
        datetime.date(year, month, day)
    except ValueError:
        return False
    return True
