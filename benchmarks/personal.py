"""Sentences with and without personal data, made from formats and not from the rules that look for them.

People's names, streets, numbers and ways of writing them come from tables and generators of their own; bank accounts
and cards carry valid check digits. Negatives are what reviews are full of: model numbers, years, prices, sizes, brands.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Iterator
from dataclasses import dataclass

FIRST = [
    "James",
    "Maria",
    "Wei",
    "Aisha",
    "Lukas",
    "Chloé",
    "Dmitri",
    "Fatima",
    "Sven",
    "Yuki",
    "Carlos",
    "Ingrid",
    "Kwame",
    "Priya",
    "Seán",
    "Noor",
]
LAST = [
    "Smith",
    "García",
    "O'Brien",
    "Müller",
    "Nguyen",
    "Okafor",
    "Rossi",
    "Kowalski",
    "Johansson",
    "van-Dijk",
    "Haddad",
    "Tanaka",
    "Brown",
    "Patel",
]
WORDS = ["guitar", "cable", "mic", "strap", "amp", "tuner", "pedal", "stand"]
HOSTS = ["mailbox", "fastpost", "example", "stringshop", "northwind", "bluehill", "my-music", "oldbarn"]
ENDINGS = ("com", "net", "org", "de", "co.uk", "io", "fr", "edu")


@dataclass(frozen=True)
class Labelled:
    """A sentence and what it holds: a kind, or nothing (an empty kind)."""

    kind: str
    text: str


def _digits(rng: random.Random, n: int) -> str:
    return "".join(rng.choice(string.digits) for _ in range(n))


def _mail(rng: random.Random) -> str:
    first, last, host, end = rng.choice(FIRST).lower(), rng.choice(LAST).lower(), rng.choice(HOSTS), rng.choice(ENDINGS)
    name = rng.choice((f"{first}.{last}", f"{first}{_digits(rng, 2)}", f"{first[0]}_{last}", f"{first}+shop"))
    styles = (
        "{n}@{h}.{e}",
        "{n} at {h} dot {e}",
        "{n}(at){h}.{e}",
        "{n} [at] {h} [dot] {e}",
        "{n} @ {h} . {e}",
        "{n} AT {h} DOT {e}",
    )
    dots = end.replace(".", " dot ") if "dot" in (style := rng.choice(styles)) else end
    return style.format(n=name, h=host, e=dots)


def _url(rng: random.Random) -> str:
    host, end = rng.choice(HOSTS), rng.choice(ENDINGS)
    page = rng.choice(("", "/deals", "/u/1234", "?id=7"))
    styles = (
        f"https://{host}.{end}{page}",
        f"www.{host}.{end}{page}",
        f"{host}.{end}{page}",
        f"http://{host}.{end}",
        f"{host} dot {end.replace('.', ' dot ')}",
        f"hxxp://{host}.{end}",
    )
    return rng.choice(styles)


def _phone(rng: random.Random) -> str:
    d = _digits
    return rng.choice(
        (
            f"({rng.randint(201, 989)}) {d(rng, 3)}-{d(rng, 4)}",
            f"{rng.randint(201, 989)}-{d(rng, 3)}-{d(rng, 4)}",
            f"{rng.randint(201, 989)}.{d(rng, 3)}.{d(rng, 4)}",
            f"+1 {rng.randint(201, 989)} {d(rng, 3)} {d(rng, 4)}",
            f"+49 {rng.randint(30, 89)} {d(rng, 4)} {d(rng, 4)}",
            f"+44 20 {d(rng, 4)} {d(rng, 4)}",
            f"0044 161 {d(rng, 3)} {d(rng, 4)}",
            f"+33 {rng.randint(1, 9)} {d(rng, 2)} {d(rng, 2)} {d(rng, 2)} {d(rng, 2)}",
            f"0{rng.randint(151, 179)}/{d(rng, 7)}",
            f"+91-98{d(rng, 3)}-{d(rng, 5)}",
            f"+81 3 {d(rng, 4)} {d(rng, 4)}",
            f"1-800-{d(rng, 3)}-{d(rng, 4)}",
            f"{rng.randint(201, 989)}{d(rng, 7)}",
        )
    )


def _card(rng: random.Random) -> str:
    body = rng.choice(("4", "51", "55", "37", "6011"))
    body += _digits(rng, (14 if body == "37" else 15) - len(body))
    total = sum(sum(divmod(int(c) * (2 - n % 2), 10)) for n, c in enumerate(reversed(body)))
    number = body + str(-total % 10)
    sep = rng.choice(("", " ", "-"))
    return sep.join(number[n : n + 4] for n in range(0, len(number), 4))


def _iban(rng: random.Random) -> str:
    country, size = rng.choice((("DE", 18), ("FR", 23), ("ES", 20), ("NL", 10), ("PL", 24), ("IT", 22)))
    account = ("INGB" if country == "NL" else "") + _digits(rng, size)
    moved = "".join(str(int(letter, 36)) for letter in f"{account}{country}00")
    whole = f"{country}{98 - int(moved) % 97:02d}{account}"
    return whole if rng.random() < 0.5 else " ".join(whole[n : n + 4] for n in range(0, len(whole), 4))


def _network(rng: random.Random) -> str:
    four = ".".join(str(rng.randint(1, 254)) for _ in range(4))
    six = ":".join(f"{rng.getrandbits(16):x}" for _ in range(8))
    short = f"2001:db8::{rng.getrandbits(16):x}:{rng.getrandbits(16):x}"
    return rng.choice((four, six, short, ":".join(f"{rng.getrandbits(8):02x}" for _ in range(6))))


def _address(rng: random.Random) -> str:
    street = rng.choice(("Maple", "Elm", "Washington", "Old Mill", "St. John's", "Queens", "5th", "Lake View"))
    kind = rng.choice(("Street", "St", "Avenue", "Ave", "Road", "Lane", "Drive", "Boulevard", "Court", "Rd."))
    n = rng.randint(1, 4999)
    return rng.choice(
        (
            f"{n} {street} {kind}",
            f"{n} {street} {kind}, Springfield, IL 62704",
            f"{rng.randint(1, 99)} High Street, Leeds LS{rng.randint(1, 9)} {rng.randint(1, 9)}AB",
            f"PO Box {n}",
            f"P.O. Box {n}",
            f"Hauptstraße {rng.randint(1, 200)}, {10_000 + n} Berlin",
            f"Lindenweg {rng.randint(1, 99)}",
            f"{rng.randint(1, 99)} rue de la République",
            f"Calle Mayor {rng.randint(1, 99)}",
            f"Via Garibaldi {rng.randint(1, 99)}",
            f"{n} elm street",
            f"{n} {street} {kind} Apt {rng.randint(1, 30)}",
        )
    )


def _handle(rng: random.Random) -> str:
    name = f"{rng.choice(WORDS)}{rng.choice(('_', '', '.'))}{rng.choice(FIRST).lower()}{rng.choice(('', '88', '_x'))}"
    return rng.choice(
        (
            f"@{name.replace('.', '_')}",
            f"my insta is {name}",
            f"IG: {name}",
            f"follow me on twitter as {name}",
            f"my discord is {name.replace('.', '')}#{_digits(rng, 4)}",
            f"u/{name.replace('.', '_')} on reddit",
            f"snapchat: {name}",
            f"my youtube channel is called {name}",
        )
    )


def _number(rng: random.Random) -> str:
    code = "".join(rng.choice(string.ascii_uppercase) for _ in range(2)) + _digits(rng, 6)
    return rng.choice(
        (
            f"order number {code}",
            f"order #{_digits(rng, 8)}",
            f"order {_digits(rng, 3)}-{_digits(rng, 7)}-{_digits(rng, 7)}",
            f"my order no. {_digits(rng, 9)}",
            f"invoice {code}",
            f"tracking number 1Z{code}{_digits(rng, 8)}",
            f"ticket #{_digits(rng, 7)}",
            f"customer ID: {code}",
            f"SSN {_digits(rng, 3)}-{_digits(rng, 2)}-{_digits(rng, 4)}",
            f"RMA {code}",
            f"account number is {_digits(rng, 10)}",
            f"passport number {code}",
        )
    )


def _name(rng: random.Random) -> str:
    first, last = rng.choice(FIRST), rng.choice(LAST)
    return rng.choice(
        (
            f"my name is {first} {last} and I play every day",
            f"my name is {first.lower()} by the way",
            f"great sound - {first} {last}",
            f"solid build. --{first}",
            f"Dr. {first} {last} told me to get one",
            f"Mrs. {last} next door loves it",
            f"Hi, I'm {first} {last} from Ohio",
            f"works well. Regards, {first} {last}",
            f"thanks, {first}",
            f"my son {first} broke it in a week",
            f"I bought it for my daughter {first}",
            f"my wife {first} likes the colour",
            f"my friend {first} {last} recommended it",
            f"the technician named {first} was rude",
            f"I spoke to {first} {last} about the return",
            f"call me {first} {last}, everybody does",
            f"Professor {last} uses the same one",
            f"our drummer {first} wants another",
        )
    )


def _health(rng: random.Random) -> str:
    illness = rng.choice(
        (
            "diabetes",
            "arthritis",
            "epilepsy",
            "depression",
            "asthma",
            "breast cancer",
            "Parkinson's",
            "carpal tunnel syndrome",
            "ADHD",
            "multiple sclerosis",
            "tinnitus",
            "PTSD",
        )
    )
    return rng.choice(
        (
            f"my {illness} makes long sessions hard",
            f"I have {illness} and this helps",
            f"I was diagnosed with {illness} last year",
            f"because of her {illness} my mother needed a light one",
            f"my husband suffers from {illness}",
            f"I've had {illness} since childhood",
            f"he is living with {illness}",
            "after my back surgery it was all I could lift",
            "I am pregnant and it is too heavy",
            f"as a patient with {illness}, I like the wide neck",
            f"my son's {illness} means he needs soft strings",
        )
    )


KINDS: dict[str, Callable[[random.Random], str]] = {
    "e-mail": _mail,
    "web address": _url,
    "telephone": _phone,
    "card": _card,
    "bank account": _iban,
    "network address": _network,
    "postal address": _address,
    "handle": _handle,
    "number": _number,
    "name": _name,
    "health": _health,
}
"""Makers by kind; those in `WHOLE` make a whole clause."""
WHOLE = frozenset({"name", "health"})

FRAMES = {
    "e-mail": (
        "write to {x} for details",
        "you can reach me: {x}",
        "I sent a mail to {x} and got no answer",
        "contact {x}",
    ),
    "web address": ("see {x} for the same thing", "cheaper at {x}", "I wrote more on {x} about it", "visit {x}"),
    "telephone": (
        "call {x} if it breaks",
        "my number is {x}",
        "their hotline is {x} and nobody answers",
        "text me at {x}",
    ),
    "card": (
        "they charged {x} twice",
        "I paid with {x} and waited",
        "card number {x} was stored",
        "my card {x} was billed",
    ),
    "bank account": ("refund to {x} please", "I gave them my account {x}", "the money went to {x}", "IBAN {x}"),
    "network address": (
        "my router at {x} lost it",
        "it pinged {x} all night",
        "the log says {x}",
        "connect to {x} first",
    ),
    "postal address": (
        "I live at {x} and it came late",
        "it was sent to {x} instead",
        "ship it to {x}",
        "they are at {x}",
    ),
    "handle": ("{x} if you want to hear it", "good sound, {x}", "more there: {x}", "{x}"),
    "number": ("{x} never arrived", "they lost my {x} twice", "see {x} for the story", "it was {x}, still waiting"),
}

NEGATIVE = (
    "The {m} strings stay in tune for {n} weeks",
    "I paid ${p} for it in {y}",
    "A 12-string from {y} needs light gauges",
    "Frequency response is 20-20000 Hz and 48 dB",
    "It measures {n} x {k} x 4.5 inches and weighs {k} lbs",
    "I own the {m}, the {m2} and a Fender Stratocaster",
    "Bought {n} of them between {y} and {y2}",
    "Rated 4.5 of 5 by {big} buyers",
    "The Beats by Dr. Dre sound worse than these",
    "My son plays it every day after school",
    "My wife likes the colour, my brother the sound",
    "I am happy and my neighbours are not",
    "The seller was quick and the support helped me at once",
    "Works at 9 V or 12 V, 300 mA, centre negative",
    "The order came early and the box was intact",
    "I called support twice in {y} and they were kind",
    "It sits at home on my desk next to the window",
    "Two way speakers with a 6.5 inch driver and {n} watts",
    "The {m} has 24 frets, 2 humbuckers and a 5 way switch",
    "It cost 1,{n}99.00 at first, now {p}",
    "Good at low volume, better at high volume",
    "The strap is between 39 and 60 inches long",
    "Follow the manual and it takes ten minutes",
    "My hands are small and the neck is thin",
    "It is a relief for the back of a chair",
    "Ernie Ball, Martin and D'Addario all make them",
    "The Mr. Coffee of microphones, cheap but fine",
    "Firmware 2.1.{k} fixed the noise",
    "Set the dial to 10 and enjoy",
    "The case has 4 latches and a lock, number 3 broke",
    "This is Fender quality from end to end",
    "Thanks to the foam it is quiet",
    "I play in a church with 200 seats on Sundays",
    "From 1965 to {y} they made {big} of these",
    "The USB 3.0 port takes 5 Gbit/s",
    "Street price is {p} and the list price is more",
)


def sentences(n: int, seed: int = 0) -> Iterator[Labelled]:
    """`n` sentences, two thirds of them with personal data, evenly over its kinds."""
    rng, kinds = random.Random(seed), list(KINDS)
    for number in range(n):
        if number % 3 == 2:
            yield Labelled("", _negative(rng))
            continue
        kind = kinds[number // 3 * 2 % len(kinds) if number % 3 == 0 else (number // 3 * 2 + 1) % len(kinds)]
        made = KINDS[kind](rng)
        text = made if kind in WHOLE else rng.choice(FRAMES[kind]).format(x=made)
        lead = rng.choice(("", "", "It works well, but ", "Sturdy thing; ", "One more thing: "))
        yield Labelled(kind, lead + text + rng.choice(("", ".", " thanks.", "!") if kind not in WHOLE else ("",)))


def _negative(rng: random.Random) -> str:
    letters = "".join(rng.choice(string.ascii_uppercase) for _ in range(rng.randint(1, 3)))
    values = {
        "m": f"{letters}{rng.randint(5, 999)}",
        "m2": f"{letters}-{rng.randint(10, 9999)}",
        "n": str(rng.randint(2, 12)),
        "k": str(rng.randint(1, 9)),
        "p": f"{rng.randint(5, 900)}.{rng.randint(10, 99)}",
        "y": str(rng.randint(1958, 2023)),
        "y2": str(rng.randint(1990, 2023)),
        "big": rng.choice(("1,204", "356", "12000", "2500")),
    }
    return rng.choice(NEGATIVE).format(**values)
