"""Redaction: what identifies a person, or leads elsewhere, is removed before a text enters a fact or a prompt.

Reviews are written by people about themselves, so they hold names, addresses, order numbers and illnesses that no
recommendation needs. A removed part makes its whole sentence unusable as evidence (`features/sentences.py`), so a
false alarm costs one sentence and a miss shows somebody's data: in doubt, remove.

`benchmarks/proofs/redaction.py` measures recall and false alarms on generated sentences of other origin.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum

REDACTED = "[removed]"


class Personal(StrEnum):
    """What kind of personal data a text holds."""

    EMAIL = "e-mail address"
    URL = "web address"
    CARD = "card number"
    IBAN = "bank account"
    NETWORK = "network address"
    NUMBER = "order or identity number"
    PHONE = "telephone number"
    HANDLE = "social handle"
    ADDRESS = "postal address"
    NAME = "name"
    HEALTH = "health"


CONTACTS = frozenset({Personal.EMAIL, Personal.URL, Personal.CARD, Personal.IBAN, Personal.NETWORK, Personal.PHONE})
"""What has no place in a product's title either; streets, names and illnesses may be a film's."""

IDENTIFIERS = CONTACTS | {Personal.NUMBER, Personal.HANDLE}
"""What no published text may hold, whatever its evidence says; a name in a film's title may be said."""

_TLD = (
    r"(?:com|net|org|info|io|biz|edu|gov|shop|store|dev|co|uk|ca|au|nz|de|fr|es|nl|ch|se|pl|ru|cn|jp"
    r"|br|eu|me(?=/)|tv(?=/))"
)
_AT = r"(?:\s*[\(\[{<]\s*at\s*[\)\]}>]\s*|\s+at\s+|\s*@\s*|\s*＠\s*)"
_DOT = r"(?:\s*[\(\[{<]\s*dot\s*[\)\]}>]\s*|\s+dot\s+|\s*\.\s?)"
_CODE = r"(?=[A-Z0-9-]*\d[A-Z0-9-]*)[A-Z0-9][A-Z0-9-]{3,}[A-Z0-9]"
_CASED = r"(?-i:(?:(?:van|von|de|der|di|la|al|el|bin)[ -]){0,2}[A-ZÀ-Þ][\w'’-]+)"
_PERSON = rf"{_CASED}(?:\s+(?:(?-i:[A-Z]\.)|{_CASED})){{0,2}}"
_BRANDS = (
    r"(?!(?-i:Martens|Pepper|Dre|Seuss|Bronner|Scholl|Strangelove|Who|No|Coffee|Clean|Bean|Meyer|Robot"
    r"|Beams?|Pac)\b)"
)
_STREET = (
    r"(?:street|st|avenue|ave|road|rd|boulevard|blvd|lane|ln|drive|dr|court|ct|place|pl|square|sq"
    r"|terrace|parkway|pkwy"
    r"|highway|hwy|close|crescent|circle|cir|trail|row|gardens|grove|mews|quay)"
)
_RELATIVE = (
    r"(?:wife|husband|son|daughter|mother|mom|mum|father|dad|brother|sister|friend|boss|neighbou?r"
    r"|boyfriend|girlfriend"
    r"|partner|fianc[eé]e?|aunt|uncle|cousin|nephew|niece|grandson|granddaughter|grandma|grandpa"
    r"|teacher|colleague|roommate"
    r"|bandmate|drummer|guitarist|doctor|landlord|kid|boy|girl|child|teacher)"
)
_STAFF = r"(?:seller|rep|representative|agent|technician|courier|driver|assistant|clerk|manager|support|service)"
_ILLNESS = (
    r"(?:diabet\w+|arthrit\w+|cancer|chemo\w*|leuk\w*mia|tumou?r|asthma\w*|migraines?|epilep\w+"
    r"|seizures?|parkinson\W?s?"
    r"|alzheimer\W?s?|dementia|hiv|bipolar|anxiety|depression|ptsd|adhd|autis\w+|asperger\W?s?"
    r"|multiple sclerosis|insomnia"
    r"|sleep apnea|fibromyalgia|lupus|crohn\W?s?|ibs|celiac|coeliac|blood pressure|heart (?:attack"
    r"|condition|disease"
    r"|surgery|failure)|kidney|hernia|eczema|psoriasis|hearing (?:loss|aids?)|tinnitus|dyslexi\w+"
    r"|carpal tunnel|tend[io]nitis"
    r"|antidepressants?|insulin|chronic (?:pain|fatigue|illness)|back (?:pain|surgery)|(?:knee|hip"
    r"|shoulder|hand|wrist|eye"
    r"|brain|neck) (?:surgery|replacement|operation)|surgery|stroke|pregnan\w+|miscarriage|wheelchair"
    r"|amputee|legally blind"
    r"|schizophreni\w+|anorexia|bulimia|hepatitis|thyroid|scoliosis|osteoporosis|sciatica|vertigo"
    r"|glaucoma|cataracts?"
    r"|alcoholi\w+|rehab|dialysis|pacemaker|covid|concussion|nerve damage|neuropathy)"
)
_WHO = (
    rf"(?:i|i['’]m|i['’]ve|me|my|mine|he|his|him|she|her|our|we|{_RELATIVE}(?:['’]s)?|patients?"
    rf"|survivor|diabetic|epileptic)"
)


@dataclass(frozen=True)
class _Rule:
    kind: Personal
    pattern: re.Pattern[str]
    fits: Callable[[str], bool] = lambda _: True


def _rule(kind: Personal, pattern: str, fits: Callable[[str], bool] = lambda _: True) -> _Rule:
    return _Rule(kind, re.compile(pattern, re.IGNORECASE), fits)


def _digits(text: str) -> str:
    return "".join(letter for letter in text if letter.isdigit())


def _is_card(text: str) -> bool:
    """13 to 19 digits that pass the check of Luhn."""
    digits = [int(digit) for digit in reversed(_digits(text))]
    doubled = sum(digits[0::2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[1::2])
    return 13 <= len(digits) <= 19 and doubled % 10 == 0


def _is_iban(text: str) -> bool:
    compact = re.sub(r"[\s-]", "", text)
    return 15 <= len(compact) <= 34 and len(_digits(compact)) >= 10


def _is_ip(text: str) -> bool:
    return all(int(part) < 256 for part in text.split("."))


def _is_phone(text: str) -> bool:
    """Enough digits, and not a date, a range of large numbers or a price."""
    digits = _digits(text)
    dated = re.fullmatch(r"\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}|\d{1,2}[-./ ]\d{1,2}[-./ ]\d{2,4}", text.strip(" ()"))
    ranged = re.fullmatch(r"\d{1,6} ?- ?\d{1,6}|\d+\.\d+ ?- ?\d+\.\d+|\d+(?: ?- ?)\d+\.\d+", text.strip())
    return (7 if text.startswith("+") else 9) <= len(digits) <= 15 and not dated and not ranged


_RULES = (
    _rule(Personal.EMAIL, r"[\w.+-]+\s?[@＠]\s?[\w-]+(?:\.[\w-]+)+"),
    _rule(Personal.EMAIL, rf"[\w.+-]+{_AT}[\w-]+(?:{_DOT}[\w-]+)*?{_DOT}{_TLD}\b"),
    _rule(
        Personal.EMAIL,
        r"\b(?:e-?mail|contact|write|reach)\b[^.!?]{0,30}\b(?:gmail|hotmail|yahoo"
        r"|outlook|icloud)\b",
    ),
    _rule(Personal.URL, r"\bh(?:tt|xx)ps?\s?:\s?/\s?/\s?\S+|\bwww\s?\.\s?\S+|\bftp://\S+"),
    _rule(Personal.URL, rf"\b[\w-]{{2,}}(?:\.[\w-]+)*\.{_TLD}\b(?:[/?#:]\S*)?"),
    _rule(Personal.URL, rf"\b[\w-]{{3,}}\s*(?:\s+dot\s+|[\[(]\s*(?:dot|\.)\s*[\])])\s*{_TLD}\b(?:\s?/\s?\w+)?"),
    _rule(Personal.URL, r"\b(?:bit\.ly|t\.me|youtu\.be|wa\.me|goo\.gl|amzn\.to|tinyurl)\S*"),
    _rule(Personal.CARD, r"(?<![\w.])\d(?:[ -]?\d){12,18}(?!\w)", _is_card),
    _rule(Personal.CARD, r"\bcards?\b[^.!?]{0,20}\bending (?:in|with) \d{4}\b|\bcvv\b\D{0,5}\d{3,4}\b"),
    _rule(Personal.IBAN, r"\b[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]{2,4}){3,8}\b", _is_iban),
    _rule(Personal.NETWORK, r"(?<![\w.])\d{1,3}(?:\.\d{1,3}){3}(?![\w.]*\w)", _is_ip),
    _rule(
        Personal.NETWORK,
        r"(?<![\w:])(?:[0-9a-f]{1,4}:){3,7}[0-9a-f]{1,4}\b"
        r"|\b(?:[0-9a-f]{1,4}:){1,6}:[0-9a-f:]*[0-9a-f]",
    ),
    _rule(Personal.NETWORK, r"\b(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}\b"),
    _rule(Personal.NUMBER, r"\b\d{3}-\d{7}-\d{7}\b|\b\d{3}-\d{2}-\d{4}\b|\b1Z[0-9A-Z]{10,16}\b"),
    _rule(
        Personal.NUMBER,
        r"\b(?:order|invoice|tracking|ticket|case|booking|customer|account|membership|member|passport"
        r"|licen[cs]e|policy"
        r"|reference|ref|rma|return|social security|ssn|id|tax|confirmation|shipment|serial|patient|insurance)\b"
        rf"(?:\s+(?:no|nr|number|num|id|code|card))*\.?\s*(?:is|was|:|=|#|№)*\s*#?\s*{_CODE}\b",
    ),
    _rule(
        Personal.NUMBER,
        r"\b(?:d\.?o\.?b\.?|date of birth|born on"
        r"|birthday(?: is)?)\W{0,3}(?:on )?\w{0,9}\W{0,2}\d",
    ),
    _rule(Personal.PHONE, r"(?<![\w.$€£])(?:\+|00)?\(?\d[\d ()./-]{6,20}\d(?![\w%]|\.\d)", _is_phone),
    _rule(
        Personal.PHONE,
        r"\b(?:call|phone|tel|telephone|text|fax|mobile|cell|whatsapp|sms|ring|dial|hotline)\b"
        r"[^.!?\d]{0,25}\+?\(?\d[\d ()./-]{4,18}\d\b",
        lambda text: 6 <= len(_digits(text)) <= 15,
    ),
    _rule(Personal.HANDLE, r"(?<![\w.])@[A-Za-z_]\w{2,}|\b[\w.]{2,32}#\d{4}\b|(?<![\w/])/?u/\w{3,}"),
    _rule(
        Personal.HANDLE,
        r"\b(?:instagram|insta|ig|twitter|snapchat|snap|tiktok|telegram|discord|whatsapp|skype|facebook"
        r"|fb|youtube|venmo"
        r"|paypal|twitch|reddit|handle|user ?name|screen ?name|gamertag|psn|channel|soundcloud|bandcamp)"
        r"(?:\s+(?:name|handle|id|account|user|page|channel))?\s*(?::|=|\bis\b|\bas\b|\bunder\b"
        r"|\bcalled\b|\bnamed\b)\s*@?[\w.-]{3,}",
    ),
    _rule(
        Personal.HANDLE,
        r"\b(?:follow|find|add|message|dm) (?:me|us)\b[^.!?]{0,30}(?:@|\bon\b|\bat\b"
        r"|\bas\b)\s*\w+",
    ),
    _rule(
        Personal.ADDRESS,
        rf"\b\d{{1,5}}[a-z]?,?\s+(?:[\w'.-]+\s+){{1,4}}?{_STREET}\b(?!\s+(?:of"
        rf"|for)\b)",
        lambda t: _named_street(t),
    ),
    _rule(Personal.ADDRESS, r"\bp\.?\s?o\.?\s?box\s+\w*\d+|\b(?:apt|apartment|suite|unit|flat)\.? #?\d+\w?\b"),
    _rule(
        Personal.ADDRESS,
        r"\b[\wäöüß-]+(?:stra(?:ß|ss)e|str\.|weg|platz|allee|gasse|laan|straat"
        r"|gatan)\s+\d+\s?[a-z]?\b",
    ),
    _rule(
        Personal.ADDRESS,
        r"\b\d{1,4}(?:\s?bis)?,?\s+(?:rue|avenue|boulevard|place|chemin|quai"
        r"|impasse)\s+(?:de |du |des |la |le |l['’])*\w+",
    ),
    _rule(
        Personal.ADDRESS,
        rf"\b(?:calle|avenida|via|viale|piazza|rua|plaza|paseo|ulica)\s+(?:de |del "
        rf"|la |das? |dos? )*{_CASED}(?:\s+{_CASED})*,?\s+(?:n[.º°]\s?)?\d+",
    ),
    _rule(Personal.ADDRESS, r"\b(?-i:[A-Z][a-z]+(?:\s[A-Z][a-z]+)?,?\s+[A-Z]{2}),?\s+\d{5}(?:-\d{4})?\b"),
    _rule(
        Personal.ADDRESS,
        r"\b(?-i:[A-Z]{1,2}\d[A-Z\d]?\s+\d[A-Z]{2}|[A-Z]\d[A-Z]\s?\d[A-Z]\d)\b"
        r"|\b\d{5}\s+(?-i:[A-ZÄÖÜ][a-zäöüß]{3,})\b",
    ),
    _rule(
        Personal.NAME,
        r"\b(?:my|his|her|the (?:seller|rep|agent|technician)['’]s) (?:full |first "
        r"|last |real |maiden )?name(?:['’]s| is| was|:)\s+[\w'’-]{2,}(?:\s+[\w'’-]+)?",
    ),
    _rule(
        Personal.NAME,
        rf"\b(?:i am|i['’]m|this is|it['’]s|call me|ask for|asked for|signed,?"
        rf"|sincerely,?|regards,?|cheers,?|thanks,?|love,|yours,?|yours truly,?)"
        rf"\s+{_PERSON}(?=[\s.,!?]*$|\s+(?:from|here|again|at|and i)\b|,\s+(?:a|an|from|age|aged|who)\b)",
    ),
    _rule(Personal.NAME, rf"\b(?:i am|i['’]m|call me)\s+{_CASED}\s+{_CASED}"),
    _rule(Personal.NAME, rf"(?:^|[.!?]\s*|\s)[-–—~]+\s?{_PERSON}\s*(?:,\s*[\w .]+)?$"),
    _rule(
        Personal.NAME,
        rf"\b(?:(?:dr|mr|mrs|ms|prof|rev|st|sgt|capt|lt)\.|dr|mr|mrs|ms|professor"
        rf"|doctor|miss|nurse|officer|pastor|reverend|captain|sergeant|coach)\s+{_BRANDS}{_PERSON}",
    ),
    _rule(
        Personal.NAME,
        rf"\b(?:my|our|his|her)\s+(?:\w+[\s-]){{0,2}}{_RELATIVE},?\s+(?:named\s+"
        rf"|called\s+|is\s+called\s+)?{_BRANDS}{_CASED}",
    ),
    _rule(Personal.NAME, rf"\b{_RELATIVE}(?:['’]s name is|\s+named|\s+called)\s+{_PERSON}"),
    _rule(
        Personal.NAME,
        rf"\b{_STAFF},?\s+(?:named\s+|called\s+)?(?!(?-i:Amazon|I|The|It"
        rf"|But|And)\b){_CASED}\s+(?:{_CASED}\s+)?(?:was|is|helped|told|said|replied|sent|from|answered"
        rf"|refused|did)\b",
    ),
    _rule(
        Personal.NAME,
        rf"\b(?:spoke|talked|chatted|emailed|dealt)\s+(?:to|with)\s+(?:a\s+(?:guy|man"
        rf"|woman|lady|person)\s+(?:named|called)\s+)?(?!(?-i:Amazon|Customer|Support)\b){_PERSON}",
    ),
    _rule(Personal.HEALTH, r"[^.!?]+", lambda sentence: _ill_person(sentence)),
)


_TOLD_ILLNESS = re.compile(
    r"\b(?:diagnosed with|suffer(?:s|ed|ing)? from|recover\w* from|allergic to|disabled|prescribed"
    r"|my (?:medication|therapist|psychiatrist|oncologist|condition|disability|illness|disease))\b",
    re.IGNORECASE,
)
_ILL, _SOMEBODY = re.compile(rf"\b{_ILLNESS}\b", re.IGNORECASE), re.compile(rf"\b{_WHO}\b", re.IGNORECASE)


def _ill_person(sentence: str) -> bool:
    """Whether a sentence speaks of an illness and of somebody."""
    return bool(_TOLD_ILLNESS.search(sentence) or (_ILL.search(sentence) and _SOMEBODY.search(sentence)))


def _named_street(text: str) -> bool:
    """Whether what stands between number and kind of street could be a street's name, not a count of things."""
    between = text.split()[1:-1]
    named = all(word[0].isupper() or word[0].isdigit() for word in between) and text.split()[-1][0].isupper()
    plain = len(between) == 1 and between[0].isalpha() and between[0].islower() and len(text.split()[-1]) > 3
    counted = {
        "way",
        "inch",
        "watt",
        "string",
        "hour",
        "mile",
        "minute",
        "foot",
        "dollar",
        "star",
        "speed",
        "track",
        "volt",
    }
    return (named or plain) and not any(word.lower().rstrip("s") in counted for word in between)


_ALL = frozenset(Personal)


def _found(text: str, kinds: Collection[Personal]) -> Iterator[tuple[_Rule, re.Match[str]]]:
    for rule in _RULES:
        if rule.kind in kinds:
            yield from ((rule, match) for match in rule.pattern.finditer(text) if rule.fits(match[0]))


def personal(text: str, kinds: Collection[Personal] = _ALL) -> list[Personal]:
    """The kinds of personal data a text holds."""
    return list(dict.fromkeys(rule.kind for rule, _ in _found(text, kinds)))


def redact(text: str, kinds: Collection[Personal] = _ALL) -> str:
    """The text with `REDACTED` in place of personal data."""
    for rule in _RULES:
        if rule.kind in kinds:
            text = rule.pattern.sub(lambda match, rule=rule: REDACTED if rule.fits(match[0]) else match[0], text)  # type: ignore[misc]
    return text
