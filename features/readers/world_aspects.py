"""What people of the built-in world argue about: aspects of headphones, as product pages and reviews put them.

Each phrase of an aspect holds the aspect's name and no other's, so that a reader, a model or a test can tell
from a text which aspect it speaks of.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """One thing headphones can be good or bad at."""

    name: str
    strong: str
    """Noun phrase of a product page: "It offers <strong>"."""
    weak: str
    """Clause of a product page: "On the downside, <weak>"."""
    praise: tuple[str, str, str]
    """Clauses of a reviewer who is content with it."""
    complaint: tuple[str, str, str]


ASPECTS = (
    Aspect(
        "comfort",
        "all-day comfort",
        "comfort fades after the first hour",
        ("the comfort is superb", "comfort stays first class for hours", "they win on comfort, nothing presses"),
        ("the comfort is poor", "comfort is gone within an hour", "they fail on comfort, my ears ache"),
    ),
    Aspect(
        "battery life",
        "a battery life of up to 60 hours",
        "the battery life is barely six hours",
        (
            "the battery life carries me through the week",
            "battery life is simply outstanding",
            "the battery life outlasts every trip I make",
        ),
        (
            "the battery life does not survive a working day",
            "battery life is far too short",
            "the battery life falls well below the promise",
        ),
    ),
    Aspect(
        "bass",
        "deep, controlled bass",
        "the bass sounds thin",
        ("the bass is deep and tight", "the bass has real punch", "every kick drum shows off the bass"),
        ("the bass is thin", "there is hardly any bass", "the bass turns to mud on busy tracks"),
    ),
    Aspect(
        "noise isolation",
        "excellent noise isolation",
        "noise isolation is weak in trains and offices",
        (
            "the noise isolation shuts the office out",
            "noise isolation is remarkable, even on a train",
            "the noise isolation gives me silence on demand",
        ),
        (
            "the noise isolation lets every voice through",
            "noise isolation is close to nothing",
            "the noise isolation gives up as soon as a bus goes by",
        ),
    ),
    Aspect(
        "build quality",
        "metal hinges and solid build quality",
        "the build quality feels plasticky",
        (
            "the build quality is rock solid",
            "build quality is a class above the rest",
            "two drops later the build quality still impresses",
        ),
        (
            "the build quality is flimsy",
            "build quality is poor, a hinge cracked",
            "the build quality creaks and rattles",
        ),
    ),
    Aspect(
        "microphone",
        "a clear microphone for calls",
        "the microphone picks up every draught",
        (
            "callers praise the microphone",
            "the microphone sounds clear on every call",
            "the microphone makes meetings easy",
        ),
        (
            "nobody understands me through the microphone",
            "the microphone sounds like a tin can",
            "the microphone drops half my words",
        ),
    ),
    Aspect(
        "soundstage",
        "a wide, open soundstage",
        "the soundstage is narrow",
        (
            "the soundstage is wonderfully wide",
            "the soundstage puts every instrument in its place",
            "concerts come alive in this soundstage",
        ),
        (
            "the soundstage is narrow",
            "the soundstage feels like a cupboard",
            "everything is crammed into a flat soundstage",
        ),
    ),
    Aspect(
        "vocal clarity",
        "outstanding vocal clarity",
        "vocal clarity suffers on dense recordings",
        (
            "the vocal clarity is stunning",
            "vocal clarity makes podcasts a pleasure",
            "the vocal clarity brings singers into the room",
        ),
        (
            "the vocal clarity is missing, singers sound veiled",
            "vocal clarity is poor, speech is a blur",
            "the vocal clarity disappears once the band joins in",
        ),
    ),
    Aspect(
        "treble",
        "smooth, detailed treble",
        "the treble is sharp at high levels",
        (
            "the treble is silky",
            "the treble shows every detail without stinging",
            "cymbals shimmer in the fine treble",
        ),
        ("the treble is harsh", "the treble hisses and tires me out", "the treble stings on every cymbal"),
    ),
    Aspect(
        "wireless range",
        "a wireless range of two floors",
        "the wireless range ends at the next wall",
        (
            "the wireless range covers my whole house",
            "wireless range is superb, I can walk to the garden",
            "the wireless range never let me down",
        ),
        (
            "the wireless range ends at the kitchen door",
            "wireless range is a joke, it stutters across a room",
            "the wireless range fails as soon as I stand up",
        ),
    ),
    Aspect(
        "pairing",
        "instant pairing with two devices",
        "pairing takes several attempts",
        (
            "pairing works at the first try",
            "pairing with phone and laptop is effortless",
            "the pairing is so quick that I stopped noticing it",
        ),
        (
            "pairing is a daily struggle",
            "the pairing forgets my phone every morning",
            "pairing with a second device simply fails",
        ),
    ),
    Aspect(
        "carrying case",
        "a hard carrying case",
        "the carrying case is a thin bag",
        (
            "the carrying case is sturdy and neat",
            "the carrying case protects them in any bag",
            "they come with a lovely carrying case",
        ),
        (
            "the carrying case is a flimsy pouch",
            "the carrying case fell apart in a week",
            "the carrying case hardly closes",
        ),
    ),
    Aspect(
        "weight",
        "a feathery weight",
        "their weight is noticeable on longer walks",
        (
            "the weight is so low that I forget them",
            "their low weight is a blessing",
            "at this weight I can wear them all evening",
        ),
        ("the weight pulls on my neck", "their weight is far too high", "the weight makes them slide off"),
    ),
    Aspect(
        "foldability",
        "clever foldability for travel",
        "foldability was left out",
        (
            "the foldability is ingenious",
            "thanks to their foldability they fit a coat pocket",
            "foldability is well thought out",
        ),
        (
            "the lack of foldability makes them a nuisance on the road",
            "foldability is missing, they fill half my bag",
            "the foldability is clumsy and pinches fingers",
        ),
    ),
    Aspect(
        "button layout",
        "a button layout that fingers find blindly",
        "the button layout is cramped",
        (
            "the button layout is obvious from the first minute",
            "the button layout works even with gloves",
            "I find everything blindly with this button layout",
        ),
        (
            "the button layout is maddening",
            "I keep skipping tracks because of the button layout",
            "the button layout is cramped and confusing",
        ),
    ),
    Aspect(
        "companion app",
        "a polished companion app with equaliser",
        "the companion app wants an account and crashes now and then",
        (
            "the companion app is a joy",
            "the companion app has the best equaliser I know",
            "with the companion app I tuned them in minutes",
        ),
        (
            "the companion app crashes constantly",
            "the companion app wants far too many permissions",
            "without an account the companion app does nothing",
        ),
    ),
    Aspect(
        "charging speed",
        "a charging speed of ten minutes for a day",
        "the charging speed is slow",
        (
            "the charging speed is fantastic",
            "charging speed saved me before many a flight",
            "a coffee break is enough at this charging speed",
        ),
        (
            "the charging speed is glacial",
            "charging speed is so slow that it takes a night",
            "the charging speed belongs in another decade",
        ),
    ),
    Aspect(
        "cable",
        "a long, detachable cable",
        "the cable is short and fixed",
        (
            "the cable is long and never tangles",
            "the detachable cable is a relief",
            "the braided cable looks ready for years",
        ),
        ("the cable is far too short", "the cable tangles at once", "the cable lost contact after a month"),
    ),
    Aspect(
        "styling",
        "elegant styling",
        "the styling is plain",
        (
            "the styling turns heads",
            "their understated styling is beautiful",
            "I love the styling, even strangers ask about it",
        ),
        ("the styling is dreadful", "their styling makes me look like a pilot", "the styling is cheap and loud"),
    ),
    Aspect(
        "ear padding",
        "plush ear padding",
        "the ear padding gets warm",
        (
            "the ear padding is as soft as a pillow",
            "the ear padding stays cool in summer",
            "the plush ear padding is lovely with glasses",
        ),
        (
            "the ear padding makes me sweat",
            "the ear padding peeled after three months",
            "the ear padding is stiff and scratchy",
        ),
    ),
    Aspect(
        "water resistance",
        "full water resistance",
        "there is no water resistance to speak of",
        (
            "the water resistance shrugs off any rain",
            "water resistance is proven, they survived a downpour",
            "thanks to the water resistance I run in any weather",
        ),
        (
            "the water resistance failed in the first drizzle",
            "water resistance is missing, sweat killed one side",
            "without water resistance they are useless for running",
        ),
    ),
    Aspect(
        "latency",
        "a latency too low to notice",
        "latency shows in videos and games",
        (
            "the latency is so low that films stay in sync",
            "latency is no issue, even in fast games",
            "I notice no latency at all",
        ),
        (
            "the latency ruins every film",
            "latency is terrible, shots land before I hear them",
            "lips and words drift apart from the latency",
        ),
    ),
    Aspect(
        "volume",
        "plenty of volume",
        "the maximum volume is low",
        (
            "the volume has plenty in reserve",
            "even at full volume nothing distorts",
            "there is volume to spare for quiet recordings",
        ),
        (
            "the volume is far too low",
            "even the top volume is a whisper",
            "the volume runs out on quiet recordings",
        ),
    ),
    Aspect(
        "value for money",
        "great value for money",
        "rivals offer better value for money",
        (
            "the value for money is unbeatable",
            "value for money could not be better",
            "they are a bargain, pure value for money",
        ),
        (
            "the value for money is poor",
            "value for money is not there, half the price would be fair",
            "I see no value for money in these",
        ),
    ),
)

_NAMES = {aspect.name: re.compile(rf"\b{re.escape(aspect.name)}\b", re.IGNORECASE) for aspect in ASPECTS}


def aspects_named(text: str) -> set[str]:
    """Names of the aspects that a text speaks of."""
    return {name for name, pattern in _NAMES.items() if pattern.search(text)}
