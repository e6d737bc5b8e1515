"""How a customer speaks: openings, closings, small talk, abbreviations, slips of the finger."""

from __future__ import annotations

import random
import re

from .grammar import capitalise
from .words import Customer

OPENINGS = {
    "plain": "Hi|Hello|Hi there|Hello team|Good morning|Hey|Hi Brightwell|Good evening|Hi, quick one",
    "polite": "Dear Sir or Madam|Dear Brightwell team|Good afternoon|Hello, I hope you are well|Good day|Hi, sorry to bother you",
    "angry": "Seriously|Right|Listen|OK so|Unbelievable|Once more|Hello??",
    "rambling": "Hi, it's me again|Hello, not sure if I'm in the right place|Hi, so|Hello, long story|Good evening, bear with me",
    "chatty": "hey|hiya|yo|hi guys|heya|hi :)|hey there|hello",
    "nonnative": "Hello dear support|Good day to you|Hello|Hi friend|Dear team|Greetings",
    "terse": "Hi|Hello",
}
CLOSINGS = {
    "plain": "Thanks|Thank you|Cheers|Let me know|Thanks in advance|Best, {name}|Regards",
    "polite": "Many thanks for your help|Kind regards, {name} {surname}|I look forward to hearing from you|Thank you so much|Yours sincerely, {surname}",
    "angry": "Sort it out|I'm waiting|Not impressed|Answer this time|This is getting old|I expect a reply today|Zero stars",
    "rambling": "Anyway, thanks for reading|Sorry for the long message|Well, that's my story|Hope that makes sense, {name}|Ring me if it's easier",
    "chatty": "thx|ta|cheers x|thanks :)|tysm|ty|lmk|plz help|lol thanks",
    "nonnative": "Thank you for understanding|Wait your answer|Thanks you|Please to help|Best regard, {name}|Thank you very much",
    "terse": "Thanks|Thx",
}
SMALL_TALK = {
    "plain": "Ordered from my phone.|I looked in the help pages first.|I've tried the chatbot.|It's for my daughter.|My account is under {name}.",
    "polite": "I know you must be busy.|I've always been happy with you.|No rush at all.|I'd be very grateful.|I've been a customer for years.",
    "angry": "I've written before.|No one answers.|What a mess.|I'm telling everyone.|I've had it with you lot.|Do you even read these?",
    "rambling": """My husband normally does these things but he's in hospital with his knee.|I'm seventy-two and not great with computers.|
We were on holiday in {city} and the dog got ill, so I only got to it now.|My neighbour said I should just write to you.|
I spent the whole morning on it and my tea went cold.|It was meant for our anniversary, twenty years, can you believe it.|
I hope I explain this well because the last time I mixed everything up.|The kids are off school and the house is upside down.""",
    "chatty": "kinda need this|not a huge deal|lol|bit annoying tbh|idk what to do|my mate said ask u",
    "nonnative": "I am new customer here.|My English is not so good.|I write you second time.|I am live in {city}.|I hope you can understand.",
    "terse": "",
}
STARS = """One star.|Two stars.|3/5.|Nice shop but.|App is okay.|Was 5 stars, now 2.|Good prices, but:|Used to love this app.|
Meh.|Giving 1 star until this is fixed.|Writing here because nobody answers."""
FILLERS = ["um", "uh", "you know", "like", "I mean", "er", "well"]
PHONE_OPENINGS = """yeah hi|hello um|hi yes|hi I'm calling because|oh hello|yes good morning|hi there so|right so|
hi my name is {name}|hello can you hear me|yeah so"""
SHORT = {
    "you": "u",
    "your": "ur",
    "please": "pls",
    "thanks": "thx",
    "because": "cuz",
    "are": "r",
    "tomorrow": "tmrw",
    "want to": "wanna",
    "going to": "gonna",
    "something": "smth",
    "I don't know": "idk",
    "to be": "2b",
    "message": "msg",
    "people": "ppl",
    "number": "no.",
    "account": "acc",
    "delivery": "delivry",
    "days": "d",
    "with": "w/",
    "before": "b4",
}
LEARNER = [
    (r"\bI've\b", "I have"), (r"\bI'm\b", "I am"), (r"\b[Dd]oesn't\b", "not"), (r"\b[Dd]idn't\b", "did not"),
    (r"\bhaven't\b", "have not"), (r"\bCan you\b", "You can"), (r"\bany more\b", "anymore more"),
    (r"\bhow do I\b", "how I can"), (r"\bHow do I\b", "How I can"), (r"\bI want to\b", "I want"), (r"\bwas\b", "is"),
    (r"\bit's\b", "it is"), (r"\bIs there\b", "There is"), (r"\bI'd like to\b", "I would like"), (r"\bbought\b", "buyed"),
]  # fmt: skip
NEAR_KEYS = {
    "a": "sq",
    "b": "vn",
    "c": "xv",
    "d": "sf",
    "e": "wr",
    "f": "dg",
    "g": "fh",
    "h": "gj",
    "i": "uo",
    "k": "jl",
    "l": "k",
    "m": "n",
    "n": "bm",
    "o": "ip",
    "p": "o",
    "r": "et",
    "s": "ad",
    "t": "ry",
    "u": "yi",
    "v": "cb",
    "w": "qe",
    "y": "tu",
}


def _pick(bank: str, customer: Customer) -> str:
    line = customer.rng.choice([part.strip() for part in bank.replace("\n", "").split("|")])
    return line.format(name=customer.name, surname=customer.surname, city=customer.city)


def opening(customer: Customer, source: str) -> str:
    rng = customer.rng
    if source == "phone_transcript":
        return _pick(PHONE_OPENINGS, customer) if rng.random() < 0.7 else ""
    if source == "app_review":
        return _pick(STARS, customer) if rng.random() < 0.45 else ""
    chance = {"email": 0.45, "chat": 0.25}[source] * (0.3 if customer.voice == "terse" else 1.0)
    return _pick(OPENINGS[customer.voice], customer) + rng.choice([",", ",", ".", "!"]) if rng.random() < chance else ""


def closing(customer: Customer, source: str) -> str:
    chance = {"email": 0.4, "chat": 0.2, "phone_transcript": 0.1, "app_review": 0.1}[source]
    if customer.rng.random() > chance * (0.3 if customer.voice == "terse" else 1.0):
        return ""
    return _pick(CLOSINGS[customer.voice], customer) + customer.rng.choice([".", "", "!"])


def small_talk(customer: Customer) -> str:
    """A word about themselves; now and then a rambler tells their whole week."""
    rng = customer.rng
    if customer.voice == "rambling" and rng.random() < 0.07:
        lines = SMALL_TALK["rambling"].replace("\n", "").split("|")
        return " ".join(rng.sample(lines, len(lines) - 2)).format(name=customer.name, city=customer.city)
    chance = {"terse": 0.0, "rambling": 0.7, "angry": 0.3}.get(customer.voice, 0.15)
    return _pick(SMALL_TALK[customer.voice], customer) if rng.random() < chance else ""


def speak(text: str, customer: Customer, source: str) -> str:
    """Turn clean sentences into this customer's writing, or into what a transcript makes of their speech."""
    rng = customer.rng
    if customer.voice == "nonnative":
        text = _as_learner(text, rng)
    text = capitalise(text)
    if source == "phone_transcript":
        return _as_transcript(text, rng)
    if customer.voice == "chatty" or (customer.voice == "terse" and rng.random() < 0.4):
        text = _as_chat(text, rng, strong=customer.voice == "chatty")
    if customer.voice == "angry" and rng.random() < 0.35:
        text = text.upper() if rng.random() < 0.4 else text.rstrip(".") + rng.choice(["!!", "!!!", "!"])
    return _slip(text, customer.typos, rng)


def _as_learner(text: str, rng: random.Random) -> str:
    text = re.sub(r"\b(the|a|an|The|A) ", lambda m: "" if rng.random() < 0.45 else m.group(0), text)
    for pattern, plain in LEARNER:
        if rng.random() < 0.4:
            text = re.sub(pattern, plain, text)
    return text


def _as_chat(text: str, rng: random.Random, strong: bool) -> str:
    for word, short in SHORT.items():
        if rng.random() < (0.45 if strong else 0.15):
            text = re.sub(rf"\b{word}\b", short, text)
    text = text.lower()
    if rng.random() < 0.6:
        text = text.replace("'", "")
    if rng.random() < 0.4:
        text = re.sub(r"[.,] ", rng.choice([" ", ", ", " - ", "... "]), text)
    return text.rstrip(".") if rng.random() < 0.8 else text


def _as_transcript(text: str, rng: random.Random) -> str:
    said = re.sub(r"[^\w\s'£€$-]", "", text.lower()).replace("#", "").replace(" i ", " I ").split()
    out: list[str] = []
    for word in said:
        if rng.random() < 0.045:
            out.append(rng.choice(FILLERS))
        out.append(word)
        if rng.random() < 0.015:
            out.append(word)
    return " ".join(out)


def _slip(text: str, rate: float, rng: random.Random) -> str:
    if not rate:
        return text
    out: list[str] = []
    for char in text:
        if not char.isalpha() or rng.random() > rate:
            out.append(char)
            continue
        kind = rng.randrange(4)
        if kind == 0:
            continue
        if kind == 1:
            out.append(char * 2)
        elif kind == 2 and out:
            out.insert(len(out) - 1, char)
        else:
            out.append(rng.choice(NEAR_KEYS.get(char.lower(), char)))
    return "".join(out)
