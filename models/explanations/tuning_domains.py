"""The words of many small invented worlds: what is rated, what it has, and how people write of it.

Nothing here is of a real catalog. Headphones are left out on purpose: they are the built-in world's, on which a
tuned model is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

from features.types import RatingScale
from features.wording import Wording

FIVE, TEN, HALVES = RatingScale(), RatingScale(1, 10, 7), RatingScale(0.5, 5, 3.5)


@dataclass(frozen=True)
class Domain:
    """One kind of product."""

    many: str
    attributes: dict[str, tuple[str, ...]]
    """Values by name of the attribute."""
    things: tuple[str, ...]
    """What reviews speak of."""
    work: bool = False
    """Something made to be read, seen or heard; otherwise a ware of a brand."""
    scale: RatingScale = FIVE
    held_out: bool = False
    """Never trained on; the tuned model is tried on it."""

    @property
    def wording(self) -> Wording:
        """What facts call these products."""
        return Wording(many=self.many)


_YEARS = tuple(str(year) for year in range(1931, 2024, 7))
_DECADES = tuple(f"{year}s" for year in range(1940, 2030, 10))
_PRICES = ("under 10", "10 to 25", "25 to 50", "50 to 100", "100 to 250", "over 250")
_BRANDS = ("Aldora", "Brimley & Sons", "Corvane", "D'Elmo", "Estrall", "Fenwick", "Gorlan", "Hathaway", "Ibex", "Jolt")

DOMAINS = (
    Domain(
        "novels",
        {"genre": ("Crime", "Romance", "Horror", "Sci-Fi", "Historical", "Young Adult"), "decade": _DECADES},
        ("plot", "ending", "dialogue", "narrator", "chapters", "prose", "villain", "twist", "characters", "pacing"),
        True,
    ),
    Domain(
        "films",
        {"genre": ("Film-Noir", "Children's", "Western", "Comedy", "Thriller", "Sci-Fi", "Musical"), "year": _YEARS},
        ("script", "cast", "ending", "camera", "soundtrack", "editing", "stunts", "dialogue", "costumes", "pacing"),
        True,
    ),
    Domain(
        "albums",
        {"style": ("Jazz", "Folk", "Hip-Hop", "Synth Pop", "Baroque", "Reggae"), "decade": _DECADES},
        ("vocals", "drums", "mixing", "lyrics", "guitar", "chorus", "production", "bassline", "strings", "tempo"),
        True,
        HALVES,
    ),
    Domain(
        "games",
        {"genre": ("Puzzle", "Racing", "Role-Playing", "Shooter", "Strategy"), "feature": ("co-op", "online play")},
        ("controls", "levels", "graphics", "story", "loading", "menus", "difficulty", "multiplayer", "bosses", "maps"),
        True,
        TEN,
    ),
    Domain(
        "courses",
        {"topic": ("Statistics", "Cooking", "Drawing", "Accounting", "First Aid"), "level": ("Beginner", "Advanced")},
        ("lectures", "exercises", "teacher", "pace", "slides", "grading", "examples", "forum", "materials", "quizzes"),
        True,
    ),
    Domain(
        "podcasts",
        {"topic": ("True Crime", "Politics", "Science", "Football", "Parenting"), "length": ("short", "long")},
        ("host", "guests", "jingle", "interviews", "episodes", "research", "sponsors", "accent", "audio", "banter"),
        True,
    ),
    Domain(
        "kitchen tools",
        {"category": ("Pans", "Knives", "Mixers", "Baking Tins", "Graters"), "price_band": _PRICES, "brand": _BRANDS},
        ("handle", "blade", "coating", "lid", "motor", "base", "grip", "edge", "rim", "instructions"),
    ),
    Domain(
        "hotels",
        {"city": ("Lisbon", "Oslo", "Kyoto", "Leeds"), "feature": ("a pool", "free parking", "a rooftop bar", "a spa")},
        ("breakfast", "room", "staff", "shower", "pillows", "lobby", "elevator", "view", "parking", "carpet"),
        False,
        TEN,
    ),
    Domain(
        "software",
        {"category": ("Photo Editors", "Tax Programs", "Backup Tools", "Games for Kids"), "brand": _BRANDS},
        ("installer", "interface", "support", "update", "license", "menus", "export", "manual", "templates", "startup"),
    ),
    Domain(
        "instruments",
        {"category": ("Strings", "Microphone Stands", "Violins", "Tuners", "Drum Heads"), "price_band": _PRICES},
        ("tone", "tuning", "pedal", "strap", "pickup", "finish", "strings", "cable", "case", "clamp"),
    ),
    Domain(
        "toys",
        {"category": ("Puzzles", "Building Sets", "Dolls", "Outdoor Toys"), "age": ("toddler", "preschool", "teen")},
        ("pieces", "colors", "batteries", "wheels", "stickers", "box", "paint", "magnets", "button", "sounds"),
    ),
    Domain(
        "cosmetics",
        {"category": ("Lipsticks", "Face Creams", "Shampoos", "Perfumes"), "brand": _BRANDS, "price_band": _PRICES},
        ("scent", "texture", "shade", "pump", "bottle", "lather", "skin", "formula", "brush", "packaging"),
    ),
    Domain(
        "garden tools",
        {"category": ("Hoses", "Pruners", "Shovels", "Sprinklers"), "feature": ("a steel shaft", "a soft grip")},
        ("nozzle", "handle", "spring", "hose", "fittings", "blade", "shaft", "wheel", "valve", "gloves"),
    ),
    Domain(
        "shoes",
        {
            "category": ("Sneakers", "Boots", "Sandals", "Slippers"),
            "color": ("black", "red", "white"),
            "brand": _BRANDS,
        },
        ("sole", "laces", "heel", "stitching", "lining", "arch", "toe", "leather", "insole", "fit"),
    ),
    Domain(
        "restaurants",
        {"cuisine": ("Thai", "Italian", "Ethiopian", "Vegan"), "district": ("Old Town", "Harbour", "West End")},
        ("waiter", "soup", "portions", "dessert", "terrace", "noise", "menu", "bread", "curry", "music"),
        False,
        HALVES,
    ),
    Domain(
        "groceries",
        {"category": ("Coffee", "Snack Bars", "Olive Oils", "Cereals"), "feature": ("no added sugar", "fair trade")},
        ("flavor", "aroma", "bag", "crunch", "aftertaste", "jar", "roast", "label", "salt", "texture"),
    ),
    Domain(
        "cameras",
        {"category": ("Compact Cameras", "Lenses", "Tripods"), "feature": ("image stabilisation", "weather sealing")},
        ("shutter", "zoom", "viewfinder", "screen", "autofocus", "charger", "lens", "menu", "flash", "strap"),
        held_out=True,
    ),
    Domain(
        "plays",
        {"genre": ("Farce", "Tragedy", "Cabaret", "Costume Drama"), "year": _YEARS},
        ("actors", "staging", "lighting", "script", "seats", "costumes", "songs", "ending", "monologue", "jokes"),
        True,
        held_out=True,
    ),
    Domain(
        "bicycles",
        {"category": ("City Bikes", "Road Bikes", "Bike Locks"), "brand": _BRANDS, "price_band": _PRICES},
        ("brakes", "saddle", "gears", "frame", "chain", "pedals", "tires", "bell", "lights", "rack"),
        False,
        TEN,
        held_out=True,
    ),
)

_ADJECTIVES = """
silent crimson hollow golden broken distant electric bitter secret frozen humble wild northern last hidden
restless second paper velvet burning lonely crooked midnight gentle foreign stubborn invisible borrowed compact
deluxe heavy-duty portable vintage stainless adjustable ultra-light premium classic mini digital
"""
ADJECTIVES = tuple(_ADJECTIVES.split())
_NOUNS = """
river garden lighthouse orchard winter detective island letter machine wedding harvest mirror station shadow
bridge horse daughter kingdom harbour promise museum clock desert painter ocean neighbour forest train festival
witness summer thief mountain choir soldier lantern bakery comet village throne whale ferry
"""
NOUNS = tuple(_NOUNS.split())
_ROLES = """
widow teacher smuggler pianist journalist boxer nurse farmer spy student gardener sailor judge inventor waitress
teenager priest botanist driver
"""
ROLES = tuple(_ROLES.split())
VERBS = ("find", "save", "outwit", "follow", "rebuild", "forget", "protect", "betray", "visit", "understand")
EVENTS = (
    "the war reaches their town",
    "the bank opens in the morning",
    "her family learns the truth",
    "winter closes the only road",
    "his old rival returns",
    "the election is lost",
    "the last ship leaves",
    "anyone notices",
)
GOOD = ("excellent", "solid", "smooth", "comfortable", "sturdy", "wonderful", "clear", "great", "perfect", "fantastic")
BAD = ("terrible", "flimsy", "awful", "disappointing", "weak", "poor", "useless", "cheap", "annoying", "horrible")
PRAISE = (
    "The {thing} is {good} and the {other} does what it should",
    "I love the {thing}, it has held up {when}",
    "{good} {thing} for the money, and my {who} likes the {other} too",
    "What I enjoy most is how {good} the {thing} is {when}",
    "It's got a better {thing} than the {brand} for sure",
    "No problems with the {thing} {when}, and the {other} looks {good}",
    "I was worried about the {thing} but it is {good}, really {good}",
    "My {who} says the {thing} is {good}; I agree",
    "the {thing} works so well that I got a second one for my {who}",
    "Unlike my old {brand}, the {thing} never slips and the {other} stays {good} {when}",
    "I've used it {when} and the {thing} is still {good}",
    "You won't find a {thing} this {good} at ${number}",
    "Highly recommend it for the {thing} alone, {good}!",
)
BLAME = (
    "The {thing} is {bad} and the {other} is no better",
    "I hate the {thing}, it broke {when}",
    "{bad} {thing} for the money, and my {who} complained about the {other} too",
    "What bothers me is how {bad} the {thing} is {when}",
    "It's got a worse {thing} than the {brand} for sure",
    "Nothing but trouble with the {thing} {when}, and the {other} looks {bad}",
    "I had high hopes for the {thing} but it is {bad}, just {bad}",
    "My {who} says the {thing} is {bad}; I agree",
    "the {thing} failed {when} and I returned it with the {other}",
    "Unlike my old {brand}, the {thing} slips and the {other} feels {bad} {when}",
    "I've used it {when} and the {thing} is already {bad}",
    "For ${number} the {thing} should not be this {bad}",
    "Save your money, the {thing} is {bad}!",
)
TAILS = (
    ", like a {adjective} {noun}",
    ", so my {adjective} {noun} is history",
    " (not only for a {role})",
    ", and that from a {role} with a {noun}",
    " - the {adjective} {noun} came to mind",
    ", imho, and the {role} next door thinks so too",
)
WHEN = (
    "after two weeks of daily use",
    "on the very first day",
    "when I am on the road",
    "at night",
    "since I bought it in 2014",
    "even in the rain",
    "after 3 or 4 tries",
    "for over a year",
)
WHO = ("wife", "brother", "son", "daughter", "neighbor", "boss", "dad", "friend", "husband", "mom")
PLOTS = (
    "A {adjective} {role} must {verb} the {noun} before {event}",
    "In a {adjective} {place}, two {role}s {verb} a {noun} and {event}",
    "{name} and {name2} {verb} the {noun} of {city}, until {event}",
    "A story about a {noun}, a {adjective} {role} and the {noun2} they share",
    "After years abroad, {name} returns to {city} to {verb} the {adjective} {noun}",
    "{title} is a {adjective} tale of a {role} who wants to {verb} a {noun}",
    "The {role}'s {noun2} is {adjective}, and {name} ({age}) has to {verb} it alone",
    "When {event}, {name} the {role} sets out to {verb} {name2}",
)
BLURBS = (
    "The {title} is a {adjective} pick with {adjective2} {thing}, {other} and a {noun} case",
    "{brand} presents the {title}, with a {adjective} {thing} and {number} year guarantee",
    "Made for {role}s: {adjective} {thing}, {adjective2} {other}, ready in {number} minutes",
    "A {adjective} {thing} for every {noun}, designed in {city} by {name}",
    "With its {adjective} {thing} and {adjective2} {other}, it fits any {noun} or {noun2}",
    "{number} pieces with {thing} and {other} for the {adjective} {noun}",
    "It has a {adjective} {thing} of {number} inches, a {adjective2} {other} and room for a {noun}",
)
CITIES = ("Porto", "Trieste", "Valparaiso", "Bergen", "Tangier", "Kolkata", "Galway", "Odessa", "Quito")
FIRST = ("Mara", "Tobias", "Ines", "Callum", "Yuki", "Dario", "Freya", "Samir", "Odile", "Pavel", "Leonie", "Bo")
LAST = (
    "Hartmann",
    "O'Neill",
    "Castellanos",
    "Brandt",
    "Okafor",
    "Lindqvist",
    "de Vries",
    "Marchetti",
    "Novak",
    "Reyes",
)
