"""Credentials: by the prefixes their issuers give them, by the word before them, and by entropy."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator

from ftcore.data.personal.spans import PersonalSpan

_ISSUED = re.compile(
    r"""(?<![A-Za-z0-9_-])(?:
      (?:AKIA|ASIA|AGPA|AIDA|AROA)[A-Z2-7]{16}                                  # AWS
    | gh[pousr]_[A-Za-z0-9]{36,255} | github_pat_[A-Za-z0-9_]{22,255}            # GitHub
    | glpat-[A-Za-z0-9_-]{20,64}                                                # GitLab
    | xox[abeprs]-[A-Za-z0-9-]{10,250} | xapp-\d-[A-Za-z0-9-]{10,250}            # Slack
    | (?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,250} | whsec_[A-Za-z0-9+/=]{20,90}  # Stripe
    | sk-(?:ant-|proj-|svcacct-|or-)?[A-Za-z0-9_-]{20,250}                        # Anthropic, OpenAI and others
    | AIza[A-Za-z0-9_-]{35} | ya29\.[A-Za-z0-9_-]{20,250} | GOCSPX-[A-Za-z0-9_-]{20,40}  # Google
    | hf_[A-Za-z0-9]{30,60} | npm_[A-Za-z0-9]{36} | pypi-[A-Za-z0-9_-]{50,250}
    | SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{16,60}                             # SendGrid
    | dop_v1_[a-f0-9]{64} | shp(?:at|ca|pa|ss)_[a-fA-F0-9]{32} | EAAC[A-Za-z0-9]{30,250}
    | eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{0,1000}          # JWT
    )(?![A-Za-z0-9])""",
    re.VERBOSE,
)
_KEY_BLOCK = re.compile(
    r"-----BEGIN ([A-Z ]{0,30})PRIVATE KEY((?: BLOCK)?)-----"
    r"(?:(?!-----BEGIN ).)*?(?:-----END \1PRIVATE KEY\2-----|(?=-----BEGIN )|\Z)",
    re.DOTALL,
)
_IN_URL = re.compile(r"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\[\]]{0,64}:([^\s/@\[\]]{1,128})@", re.IGNORECASE)
_HOOK = re.compile(r"https://(?:hooks\.slack\.com/services|discord(?:app)?\.com/api/webhooks)/[\w/-]{20,200}")
_NAMED = re.compile(
    r"""(?P<name>password|passwd|passphrase|passcode|kennwort|passwort|mot\sde\spasse|contrase[nñ]a|senha|wachtwoord
      |api[_\s-]?key|access[_\s-]?key(?:[_\s-]id)?|secret[_\s-]?(?:access[_\s-]?)?key|client[_\s-]?secret|private[_\s-]?key
      |(?:auth(?:orization)?|access|refresh)[_\s-]?token|(?<![a-z])(?:pass|pwd|pw|pin\scode|secret|bearer|token|credentials?))
      (?P<sign>["']?\s{0,3}(?::=|=>|[=:])\s{0,3}(?:bearer\s)?|\s(?:is|was|ist|est|es|é)(?:\snow)?:?\s|\s(?=\S{16}))
      (?P<quote>["'`]?)(?P<value>[^\s"'`<>\[\]]{4,256})""",
    re.VERBOSE | re.IGNORECASE,
)
_HINT = re.compile(
    r"pass|pwd|pw|pin\scode|secret|key|token|bearer|credential|kennwort|contrase|senha|wachtwoord|://", re.IGNORECASE
)
_WORD = re.compile(r"(?<![\w/+=.@-])[A-Za-z0-9/+_-]{24,200}={0,2}(?![\w/+=@])")
_HEX = re.compile(r"[0-9a-fA-F-]+\Z")
MIN_ENTROPY = 4.0
"""Bits per character from which a long word of mixed letters and digits counts; English words have 2 to 3.5."""


def find_secrets(text: str) -> Iterator[PersonalSpan]:
    """Keys and passwords. Hashes and UUIDs count only after a word such as `token=`."""
    for match in _ISSUED.finditer(text):
        yield PersonalSpan(match.start(), match.end(), "secret")
    if _HINT.search(text):
        yield from _find_named(text)
        for match in (*_KEY_BLOCK.finditer(text), *_HOOK.finditer(text)):
            yield PersonalSpan(match.start(), match.end(), "secret")
        for match in _IN_URL.finditer(text):
            yield PersonalSpan(match.start(1), match.end(1), "secret")
    for match in _WORD.finditer(text):
        if _is_random(match.group()):
            yield PersonalSpan(match.start(), match.end(), "secret")


def _find_named(text: str) -> Iterator[PersonalSpan]:
    for match in _NAMED.finditer(text):
        value = match["value"].rstrip(".,;:!?)")
        if len(value) < 4 or value.startswith(("$", "{", "%", "*")):  # a placeholder or a mask
            continue
        sign = match["sign"].strip("\"' ")
        if sign.startswith(("=", ":=")) or (match["quote"] and sign) or _is_coded(value, bare=not sign):
            yield PersonalSpan(match.start("value"), match.start("value") + len(value), "secret")


def _is_coded(value: str, *, bare: bool) -> bool:
    """No plain word: after "my password is" ordinary language goes on more often than not."""
    digits = sum(char.isdigit() for char in value)
    signs = sum(not char.isalnum() and char not in "'’-…/.," for char in value)
    if bare:  # "token 8f3a…": no sign between them, so it must look like nothing else
        return len(value) >= 16 and digits >= 2 and digits < len(value)
    return (digits > 0 and digits < len(value)) or signs > 0 or (digits >= 4 and digits == len(value))


def _is_random(word: str) -> bool:
    if _HEX.match(word) or not (
        any(map(str.isdigit, word)) and any(map(str.isupper, word)) and any(map(str.islower, word))
    ):
        return False
    if word.count("/") > 2 or word.count("-") + word.count("_") > 3:  # a path, or words joined together
        return False
    counts = Counter(word).values()
    return -sum(count / len(word) * math.log2(count / len(word)) for count in counts) >= MIN_ENTROPY
