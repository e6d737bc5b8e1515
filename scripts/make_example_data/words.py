"""The shop's world: its goods, its customers, and the words each customer habitually uses."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

ITEMS = """headset|soundbar|tablet|smartwatch|keyboard|webcam|router|e-reader|drone|projector|speaker|camera|laptop|
microphone|game controller|turntable|dash cam|baby monitor|fitness band|printer|scanner|action cam|radio|clock radio|
docking station|phone|TV|photo frame|weather station|record player|amplifier|subwoofer|air purifier|doorbell cam|
karaoke machine|hearing aid|media player|digital piano|bike computer|home theatre|e-scooter"""
HOUSEHOLD = """kettle|desk lamp|toaster|hair dryer|coffee grinder|blender|fan|space heater|food scale|rice cooker|
air fryer|waffle maker|steam iron|bike light|power bank|phone case|tripod|label maker|shaver|humidifier|memory card|
charger|ring light|sewing machine|milk frother|egg boiler|foot spa|torch"""
ROBOT_ITEMS = """Rovi|Rovi Mop|Rovi S2|Rovi Max|robot vac|robot mower|hoover robot|mopping robot|Rovi Window|lawn bot|
Keylo|Keylo lock|smart lock|Keylo Pro|door lock|Keylo Bridge|Keylo keypad|self-empty dock"""
ROBOT_EXTRAS = """dock|mop pad set|side brush|dust bag|lidar cover|retrofit cylinder|virtual wall|key fob|door sensor|
cliff sensor|roller brush|spare battery|water tank|wall mount|blade kit|motion sensor|strike plate|HEPA cartridge"""
PARCELS = ["parcel", "package", "order", "box", "delivery", "shipment", "packet", "consignment"]
SUBS = [
    "subscription",
    "membership",
    "plan",
    "Plus plan",
    "monthly plan",
    "Brightwell Plus",
    "monthly pass",
    "subscribtion",
]
NAMES = """Anna|Omar|Priya|Tom|Lena|Marek|Sofia|Jack|Chen|Fatima|Luca|Ingrid|Dele|Maria|Paul|Aiko|Nadia|Ben|Rosa|
Viktor|Grace|Hugo|Samir|Ella|Ivan|Claire|Kofi|Marta|Dan|Yusuf|Beth|Jonas|Amara|Pete|Leila|Oscar|Ruth|Nils"""
SURNAMES = """Novak|Okafor|Berg|Hughes|Silva|Kowalski|Dubois|Rao|Lindqvist|Moreau|Haddad|Tanaka|Weber|Costa|Byrne|
Petrov|Adeyemi|Marsh|Ferrari|Jensen|Doyle|Khan|Popescu|Vance|Almeida|Schmitt|Walker|Nguyen"""
CITIES = """Leeds|Porto|Graz|Ghent|Lyon|Cork|Malmo|Krakow|Bristol|Utrecht|Turin|Aarhus|Leipzig|Bilbao|Tampere|Galway|
Nantes|Basel|Cardiff|Brno|Seville|Dundee|Rotterdam|Trieste"""
STREETS = """Mill Lane|Harbour Road|Station Street|Linden Alley|Park View|Church Hill|Canal Row|Orchard Close|
Bridge Street|Kings Avenue|Garden Walk|Rue Verte|Elm Court|Victoria Square|Quarry Road"""
CODES = "SPRING10|WELCOME15|HELLO20|BW-JUNE|SAVE5|PLUS25|FRIEND10|STUDENT12|APP7|THANKS10|SUNNY15|VIP30"
DAYS = "Monday|Tuesday|Wednesday|Thursday|Friday|Saturday"
MONTHS = "January|February|March|April|May|June|October|November|December"
AGO = """two days ago|last week|on Monday|a week ago|ten days ago|on the 12th|yesterday|three weeks ago|last Friday|
a fortnight ago|last month|on the 3rd|the other day|four days ago|some days ago|over a week ago|just before the weekend"""
SMALL = "two|three|four|five|six|eight|2|3|4|5|6|8|9|10|twelve"

VOICES = {"plain": 30, "polite": 16, "terse": 16, "angry": 12, "rambling": 10, "chatty": 14, "nonnative": 12}
SOURCES = {"email": 40, "chat": 32, "phone_transcript": 14, "app_review": 14}


def words(bank: str) -> list[str]:
    return [word.strip() for word in bank.replace("\n", "").split("|")]


def weighted(rng: random.Random, table: dict[str, int]) -> str:
    return rng.choices(list(table), weights=list(table.values()))[0]


@dataclass
class Customer:
    """One customer: a voice, habits and a handful of possessions that recur in all their messages."""

    id: str
    rng: random.Random
    items: list[str]
    voice: str = ""
    source: str = ""
    parcel: str = ""
    sub: str = ""
    name: str = ""
    surname: str = ""
    city: str = ""
    currency: str = ""
    habit: int = 0
    typos: float = 0.0
    order_form: str = ""
    said: dict[str, str] = field(default_factory=dict)
    """Slot -> the word it got last, for whoever wants to answer."""

    @classmethod
    def draw(cls, number: int, rng: random.Random, goods: list[str], extras: list[str]) -> Customer:
        return cls(
            id=f"c{number:04d}",
            rng=rng,
            items=[*rng.sample(goods, 2), *rng.sample(extras, 2)],
            voice=weighted(rng, VOICES),
            source=weighted(rng, SOURCES),
            parcel=rng.choice(PARCELS),
            sub=rng.choice(SUBS),
            name=rng.choice(words(NAMES)),
            surname=rng.choice(words(SURNAMES)),
            city=rng.choice(words(CITIES)),
            currency=rng.choice(["${}", "£{}", "€{}", "{} euros", "{} EUR", "{} pounds", "{} dollars", "{}"]),
            habit=rng.randrange(6),
            typos=rng.choice([0.0, 0.0, 0.0, 0.0, 0.008, 0.015, 0.025]),
            order_form=rng.choice(
                ["#{}", "order {}", "order #{}", "order number {}", "my order {}", "ORD-{}", "my last order"]
            ),
        )

    def fill(self, slot: str) -> str:
        """The customer's own word for a slot of the phrase banks."""
        self.said[slot] = self._word(slot)
        return self.said[slot]

    def _word(self, slot: str) -> str:
        rng = self.rng
        if slot in ("item", "item2"):
            own, other = self.items[:2], self.items[2:]
            return rng.choice(own if slot == "item" else other)
        if slot == "ord":
            return self.order_form.format(rng.randrange(10000, 99999))
        if slot == "amt":
            cents = rng.choice(["", "", ".99", ".50", ".90"])
            return self.currency.format(f"{rng.randrange(6, 400)}{cents}")
        if slot == "street":
            return f"{rng.randrange(1, 180)} {rng.choice(words(STREETS))}"
        if slot in ("parcel", "sub", "city", "surname"):
            return str(getattr(self, slot))
        banks = {
            "city2": CITIES,
            "name": NAMES,
            "code": CODES,
            "day": DAYS,
            "month": MONTHS,
            "daysago": AGO,
            "n": SMALL,
        }
        return rng.choice(words(banks[slot]))
