"""English and Chinese words by which the facts of a prompt are found again in its rewriting. Data only, torch-free."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Something a prompt may tell that must not get lost: what tells it, and what keeps it in each language.

    `name` completes "the rewriting had lost …". Patterns are matched against lower-case text.
    """

    name: str
    told: re.Pattern[str]
    kept_in_english: re.Pattern[str]
    kept_in_chinese: re.Pattern[str]


def _fact(name: str, told: str, kept: str, chinese: str, told_in_chinese: str = "") -> Fact:
    pattern = rf"\b(?:{told})\b" + (f"|{told_in_chinese}" if told_in_chinese else "")
    return Fact(
        name=name,
        told=re.compile(pattern),
        kept_in_english=re.compile(rf"\b(?:(?:{told})\b|{kept})"),
        kept_in_chinese=re.compile(chinese),
    )


_COLOURS: Final = tuple(
    _fact(f"the colour {colour}", told, kept, f"[{chinese}]", f"[{chinese[0]}]色")
    for colour, told, kept, chinese in (
        ("red", "red", "crimson|scarlet|ruby|vermilion|burgundy|maroon|cherry|ginger", "红赤朱绯"),
        ("orange", "orange", "tangerine|amber|apricot|coral|copper", "橙橘桔"),
        ("yellow", "yellow", "gold|amber|lemon|mustard|honey", "黄金"),
        ("green", "green", "emerald|jade|olive|lime\\b|verdant|lush\\b|moss|teal", "绿翠青碧"),
        ("blue", "blue", "azure|cobalt|navy|sapphire|cerulean|turquoise|teal|indigo|cyan|aqua", "蓝青碧靛"),
        ("purple", "purple|violet", "lavender|lilac|magenta|indigo|amethyst|plum\\b|mauve", "紫"),
        ("pink", "pink", "rose\\b|rosy|magenta|fuchsia|blush|salmon", "粉桃玫"),
        ("brown", "brown", "chestnut|tan\\b|tawny|bronze|umber|chocolate|hazel|sepia|mahogany|walnut", "棕褐"),
        ("black", "black", "ebony|jet\\b|onyx|inky|obsidian|dark|raven|monochrom", "黑墨乌"),
        ("white", "white", "snow|ivory|pale\\b|cream|pearl|alabaster|monochrom", "白银雪"),
        ("grey", "gr[ae]y", "silver|ash(?:en|y)?\\b|slate|charcoal|steel", "灰银"),
        ("silver", "silver", "chrome|metallic|gr[ae]y|platinum", "银"),
        ("gold", "gold|golden(?! hour)", "gilded|gilt|amber|honey|yellow|bronze", "金黄"),
    )
)
_TIMES: Final = (
    _fact(
        "the time of day",
        "night|nighttime|midnight|tonight",
        "night|midnight|moon|star(?:s|ry|lit|light)|nocturnal|dark|neon",
        "夜|晚|月|星|黑暗",
        "夜晚|晚上|深夜|午夜|夜里",
    ),
    _fact(
        "the time of day",
        "dawn|sunrise|daybreak|morning",
        "sun-?up|early|first (?:light|rays)|rising sun|sun (?:is |just )*ris",
        "晨|黎明|拂晓|日出|破晓|朝|曙|清早|早上",
        "清晨|黎明|日出|早晨|早上",
    ),
    _fact(
        "the time of day",
        "sunset|sundown|dusk|evening|twilight|golden hour",
        "golden|setting sun|sun (?:is |slowly |now )*(?:set|sink|go|dip|drop|low)|low sun|late (?:sun|light)|nightfall",
        "夕|日落|黄昏|傍晚|暮|晚霞|落日",
        "黄昏|傍晚|日落|夕阳",
    ),
    _fact("the time of day", "noon|midday", "overhead|midday|noon|bright|daylight|day\\b", "正午|中午|午", "正午|中午"),
)
_UNITS: Final = (
    r"years?|days?|hours?|minutes?|seconds?|o'?clock|am|pm|meters?|metres?|feet|miles?|percent|stor(?:y|e?ys|ies)"
)
_NUMBERS: Final = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|hundred"
_SHORT_UNITS: Final = r"k|px?|mp|fps|mm|cm|m|km|mph|x|d|st|nd|rd|th|s|sec|min"
_COUNTS: Final = tuple(
    _fact(
        f"the number {value}",
        # Not an hour, an age, a size or a part of another number: those are said in many ways.
        rf"{word}(?![-\s]*(?:{_UNITS})\b)|(?<![\d.:/,$#-]){value}(?![\d.:/%]|[-\s]*(?:{_UNITS}|{_SHORT_UNITS})\b)",
        rf"{word}|{value}|{kept}",
        f"(?:{chinese})|{value}",
    )
    for value, word, kept, chinese in (
        (2, "two", "pair|couple|both|twin|duo|double|second|other", "两|二|双|俩|对"),
        (3, "three", "trio|triple|third", "三|仨"),
        (4, "four", "quartet|fourth", "四"),
        (5, "five", "quintet|fifth", "五"),
        (6, "six", "half a dozen|sixth", "六"),
        (7, "seven", "seventh", "七"),
        (8, "eight", "eighth", "八"),
        (9, "nine", "ninth", "九"),
        (10, "ten", "tenth", "十"),
        (11, "eleven", "eleventh", "十一"),
        (12, "twelve", "dozen|twelfth", "十二|打"),
    )
)
MEASURE: Final = re.compile(
    rf"\b(?:\d+(?:[.,]\d+)?[-\s]*(?:{_SHORT_UNITS})\b|(?:\d+(?:[.,]\d+)?|an?|{_NUMBERS})[-\s]*(?:{_UNITS})\b)"
    r"(?:[-\s]+(?:old|long|tall|high|wide|away))?",
    re.IGNORECASE,
)
"""An amount of something: said in many ways, and seldom to be seen."""
FACTS: Final = (*_COLOURS, *_TIMES, *_COUNTS)
"""Colours, times of day and counts: each is kept, or the rewriting is not used."""

OPPOSITES: Final[tuple[tuple[Fact, Fact], ...]] = (
    (
        _fact("the direction", "left|leftwards?", "left", "左", "向左|往左|从右"),
        _fact("the direction", "right|rightwards?", "right", "右", "向右|往右|从左"),
    ),
    (
        _fact("the direction", "rise|rises|rising|ascends?|ascending|upwards?", "climb|lift|soar|up\\b", "升|上|起"),
        _fact(
            "the direction",
            "sinks?|sinking|descends?|descending|downwards?",
            "lower|land(?:s|ed|ing)?\\b|fall|down\\b",
            "降|下|落|沉",
        ),
    ),
)
"""Directions: one may go unsaid, but it must not turn into the other."""

FILLERS: Final = _words(
    "a about above across after again against all alone along also am an and any are around as at away be been before"
    " behind being below beneath beside between both but by can come comes coming could did do does doing down during"
    " each every few for from front get gets getting go goes going had has have having he her here hers him his how i"
    " if imagine in inside into is it its just kind like lot made make makes many me middle more most much my near"
    " next not of need off on one only onto or other our out outside over per place please put really same see she"
    " should side so some somebody someone something somewhere such than that the their them then there these they"
    " this those through to together too top toward towards under until up upon us very want was we were what when"
    " where which while who will with within would you your left right image images picture pictures photo photos"
    " photograph photographs photography pic video videos film films movie clip scene shot view footage animation"
    " wallpaper prompt background foreground create generate draw show render depict paint give style styled look"
    " looking feel vibe vibes mood aesthetic camera static cinematic realistic photorealistic hyperrealistic realism"
    " detailed detail details quality resolution masterpiece best high highly ultra super hd uhd 4k 8k 2k hdr raw"
    " sharp focus professional award winning trending artstation unreal engine octane intricate beautiful nice pretty"
    " cool awesome amazing stunning epic gorgeous lovely cute great good perfect wonderful fantastic incredible"
    " magnificent breathtaking interesting simple peaceful calm vivid soft"
)
"""Words that carry no fact: grammar, orders to the machine, praise, and marks of quality."""

ENGLISH_WORDS: Final = _words(
    "a an and are as at behind by for from her his in into is it its near of off on over the their through to under"
    " while with"
)
OTHER_LATIN_WORDS: Final = _words(
    "der das ein eine einem einen einer und im mit bei auf dem den des zum zur ist sich über unter"
    " le la les un une du au aux et dans sur avec sous est qui"
    " el los las una por del sobre bajo y il gli nel nella di della che"
    " um uma os com na da dos het een naar een och ett på med jest na z w"
)
"""Frequent small words by which English is told from its neighbours; those that are English words too are left out."""

SYNONYMS: Final[tuple[frozenset[str], ...]] = tuple(
    _words(line)
    for line in (
        "boat sailboat ship yacht vessel dinghy schooner rowboat craft hull galleon",
        "house cottage home cabin hut farmhouse villa mansion dwelling chalet",
        "car automobile vehicle sedan coupe convertible roadster supercar",
        "man guy gentleman male fellow father boy",
        "woman lady female mother girl",
        "girl boy kid child toddler youngster teenager daughter son schoolgirl schoolboy",
        "person people figure pedestrian crowd human passerby commuter traveler traveller couple pair group",
        "dog puppy pup canine retriever hound",
        "cat kitten feline kitty tabby",
        "horse stallion mare foal pony",
        "sea ocean wave water shore coast surf lake",
        "beach shore sand coast seaside",
        "forest wood woodland tree jungle grove",
        "road street path highway lane alley avenue trail",
        "mountain peak summit alp ridge hill slope",
        "rain rainy drizzle downpour wet puddle raindrop shower",
        "storm thunderstorm lightning tempest thunder stormy gale",
        "snow snowy winter snowfall snowflake ice icy frost frosty blizzard snowdrift wintry",
        "sun sunlight sunny sunshine sunlit sunbeam solar sunset sunrise",
        "moon moonlight moonlit lunar crescent",
        "star starry starlit starlight constellation",
        "fog foggy mist misty haze hazy",
        "cloud cloudy overcast",
        "wind windy breeze gust windswept",
        "city town urban metropolis downtown skyline cityscape village skyscraper",
        "field meadow grass pasture prairie grassy countryside",
        "desert dune sand sahara",
        "river stream brook creek",
        "garden park yard",
        "flower blossom bloom petal floral",
        "balloon aerostat",
        "plane airplane aeroplane aircraft jet airliner",
        "bike bicycle cyclist cycling",
        "motorcycle motorbike biker",
        "spaceship spacecraft starship rocket shuttle",
        "space cosmos cosmic galaxy orbit universe stars nebula",
        "robot android mech droid automaton cyborg",
        "soldier warrior troop trooper infantry",
        "phone smartphone cellphone mobile",
        "tv television screen",
        "shop store boutique market stall bazaar",
        "coffee espresso cappuccino latte",
        "food meal dish cuisine",
        "doctor physician medic",
        "picnic blanket",
        "party celebration celebrate festive",
        "eat ate devour nibble munch bite savor savour chew feast taste",
        "drink sip gulp",
        "run ran sprint dash jog race gallop bound",
        "walk stroll wander stride pace amble march tread",
        "fly flew flight soar glide hover",
        "float drift hover bob glide",
        "drift slide skid",
        "spell magic magical enchantment enchanted sorcery",
        "sail glide drift cruise",
        "look gaze stare watch peer observe",
        "sit sat seat perch rest",
        "lie lay recline rest",
        "sleep slept asleep nap doze slumber curl",
        "talk chat converse speak conversation",
        "fight battle combat duel clash fighter",
        "drive drove cruise speed race driver",
        "jump leap bound hop vault",
        "smile grin smirk beam",
        "laugh giggle chuckle laughter",
        "cry weep tear sob",
        "sing sang singer song",
        "swim swam paddle",
        "ride rode rider astride",
        "hold held carry grip clutch cradle",
        "hug embrace cuddle",
        "cook stir chef prepare",
        "burn flame fire blaze ablaze fiery",
        "explode explosion blast burst",
        "rise rose ascend climb lift",
        "fall fell drop cascade tumble",
        "old elderly aged ancient vintage weathered antique aging",
        "young youthful",
        "big large huge giant massive enormous towering gigantic colossal immense",
        "small tiny little miniature mini",
        "happy joyful cheerful delighted joy joyous glee",
        "sad melancholy sorrowful somber sombre mournful",
        "lonely solitary alone lone isolated solitude",
        "angry furious rage enraged",
        "scary eerie creepy frightening ominous spooky haunted",
        "fast quick swift speed rapid rapidly",
        "slow gentle leisurely",
        "abandoned derelict deserted ruined decaying",
        "futuristic future scifi",
        "rich luxurious luxury opulent",
        "autumn fall autumnal",
        "spring blossom springtime",
        "baby infant newborn",
        "couple pair lovers two",
        "friend companion buddy",
        "family parent mother father child",
        "grandma grandmother granny",
        "grandpa grandfather",
        "monster creature beast",
        "wizard sorcerer mage",
        "king monarch ruler",
        "painting painted canvas brushstroke oil",
        "watercolor watercolour wash",
        "cartoon animated",
        "closeup macro",
    )
)
"""Words that may stand for each other. Small on purpose: rewritings mostly repeat the nouns they were given."""

IRREGULAR: Final[Mapping[str, str]] = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "kids": "kid",
    "feet": "foot",
    "teeth": "tooth",
    "mice": "mouse",
    "geese": "goose",
    "leaves": "leaf",
    "wolves": "wolf",
    "knives": "knife",
    "wives": "wife",
    "lives": "life",
    "halves": "half",
    "shelves": "shelf",
    "lying": "lie",
    "flies": "fly",
    "dying": "die",
    "ate": "eat",
    "ran": "run",
    "sat": "sit",
    "flew": "fly",
    "flown": "fly",
    "swam": "swim",
    "sang": "sing",
    "rode": "ride",
    "fell": "fall",
    "held": "hold",
    "slept": "sleep",
    "drove": "drive",
    "stood": "stand",
    "wore": "wear",
    "worn": "wear",
    "drawn": "draw",
    "written": "write",
    "wrote": "write",
    "broken": "break",
    "frozen": "freeze",
    "hidden": "hide",
    "taking": "take",
    "took": "take",
    "lit": "light",
    "caught": "catch",
    "threw": "throw",
    "thrown": "throw",
    "burnt": "burn",
    "built": "build",
    "fought": "fight",
    "woven": "weave",
    "swung": "swing",
    "bus": "bus",
    "glass": "glass",
}
"""Forms that cutting an ending does not find."""
