"""Bad replies, each with one named flaw: what people rate down, and the rejected half of a pair."""

from __future__ import annotations

import dataclasses
import random
import re

from ..compose import Message
from .answers import POLICIES, TONE, Parts, mistaken_for

FLAWS = ("curt", "wrong_policy", "made_up_number", "wrong_tone")


def spoil(parts: Parts, message: Message, flaw: str, rng: random.Random) -> str:
    """The reply with one flaw.

    curt: no greeting, nothing taken up, no help. wrong_policy: the policy of an intent that is easily mistaken for this one.
    made_up_number: another number in place of the customer's, or one that nobody gave. wrong_tone: blames or mocks.
    """
    if flaw == "curt":
        return rng.choice(TONE["curt"].strip().splitlines())
    if flaw == "wrong_policy":
        return str(dataclasses.replace(parts, policy=_other_policy(message.label, rng), request=""))
    if flaw == "made_up_number":
        return str(dataclasses.replace(parts, ack=_other_number(parts.ack, rng), request=""))
    rude = rng.choice(TONE["rude"].strip().splitlines())
    kept = rng.choice([parts.ack, parts.policy])
    return f"{rude} {kept}" if rng.random() < 0.5 else f"{kept} {rude}"


def _other_policy(label: str, rng: random.Random) -> str:
    return str(rng.choice(POLICIES[rng.choice(mistaken_for(label))]["cases"])["say"])


def _other_number(ack: str, rng: random.Random) -> str:
    """Every digit drawn anew; without a number, an order that nobody named."""
    if not re.search(r"\d", ack):
        return f"{ack} That was order {rng.randrange(10000, 99999)}."
    while (other := re.sub(r"\d", lambda _: str(rng.randrange(10)), ack)) == ack:
        pass
    return other
