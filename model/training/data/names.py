"""Names of people, firms, places, systems and things, put together from syllables and word lists."""

from __future__ import annotations

from .draw import Draw, fitting

_ONSETS = "b br c ch cl d dr f fl g gr h j k l m n p pr qu r s sh st t th tr v w y z".split()
_VOWELS = "a e i o u ai ea ei ia oa ou".split()
_CODAS = "l ld m n nd ng r rd rn rt s st t th ck x lm nt v".split()
_ENDINGS = (
    "well ford by ton ham wick mere stone field dale borough gate low ridge ley den son man sen ova ini ez aki".split()
)
_GIVEN = (
    "Ada Amir Anneke Bao Bertil Carla Chidi Dario Dunja Edith Emre Farida Felix Greta Hamish Hana Igor Ines Jonas Jun "
    "Kaya Klaus Lena Luca Maren Mohsin Nadia Niels Olga Omar Paloma Piet Quinn Rafael Rosa Sana Sven Tamar Tariq Ursula "
    "Uwe Vera Viktor Wen Wilma Xenia Yara Yusuf Zofia Zoran"
).split()
_FORMS = "Ltd plc GmbH Inc LLC AG Group Partners Holdings Works Systems Foods Energy Marine Textiles Optics".split()
_THINGS = "pump valve turbine crane boiler sensor mixer press conveyor chiller dryer kiln lathe scanner antenna filter".split()
_SYSTEMS = "Lantern Harbor Beacon Quarry Compass Ember Falcon Garnet Heron Iris Juniper Kestrel Lotus Marlin Nimbus Onyx".split()
_SURNAMES = (
    "Abara Bianchi Castellan Dahl Eriksen Fournier Gupta Hoffmann Ibarra Jansen Kowalski Lindqvist Moreau Novak Okafor "
    "Petrov Quist Rossi Silva Tanaka Ueda Varga Weber Yilmaz Zeller Brandt Costa Duarte Fischer Hughes Marsh Osei Patel"
).split()
_FIRM_WORDS = (
    "Northern Blue Golden Harbour River Summit Eastern Bright Stone Meadow Cedar Falcon Granite Atlas Orchard Union "
    "Central Maple Crown Coastal Pioneer Silver Valley Anchor Beacon Forest Lake Bridge Garden Mill Star Gate"
).split()
_PARTS = "unit lot hall building line bay gate tank shaft room platform section berth vessel sample zone".split()
_STREETS = "Street Lane Row Quay Yard Road Square Close Gardens Terrace".split()
_COLOURS = "red blue green amber grey white black silver north south east west upper lower inner outer".split()


def stem(draw: Draw) -> str:
    middle = draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_CODAS)
    word = middle + draw.choice(_ENDINGS) if draw.chance(0.7) else middle + draw.choice(_VOWELS[:5])
    return word.capitalize()


def company(draw: Draw) -> str:
    def make() -> str:
        words = " ".join(draw.some(_FIRM_WORDS, 2)) if draw.chance(0.3) else stem(draw)
        return f"{words} {draw.choice(_FORMS)}"

    return fitting(draw, make)


def person(draw: Draw) -> str:
    def make() -> str:
        return f"{draw.choice(_GIVEN)} {draw.choice(_SURNAMES) if draw.chance(0.3) else stem(draw)}"

    return fitting(draw, make)


def place(draw: Draw) -> str:
    return fitting(draw, lambda: stem(draw))


def street(draw: Draw) -> str:
    return fitting(draw, lambda: f"{draw.randint(1, 199)} {stem(draw)} {draw.choice(_STREETS)}")


def thing(draw: Draw) -> str:
    return fitting(
        draw,
        lambda: f"{draw.choice(_COLOURS)} {draw.choice(_THINGS)} {draw.choice('ABCDEFGHJKLMNP')}{draw.randint(1, 99)}",
    )


def part(draw: Draw) -> str:
    """One of many that are counted: Unit 4B, lot 12."""

    def make() -> str:
        word = draw.choice(_PARTS)
        number = draw.choice((str(draw.randint(1, 40)), f"{draw.randint(1, 40)}{draw.choice('ABCD')}", draw.choice("ABCDEFGHK")))
        return f"{word.capitalize() if draw.chance(0.5) else word} {number}"

    return fitting(draw, make)


def system(draw: Draw) -> str:
    return fitting(draw, lambda: f"{draw.choice(_SYSTEMS)}-{draw.randint(1, 99)}")


def code(draw: Draw) -> str:
    letters = "".join(draw.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(draw.choice((2, 3))))
    return fitting(draw, lambda: f"{letters}-{draw.randint(100, 9999)}")


MAKERS = {
    "company": company,
    "person": person,
    "place": place,
    "street": street,
    "thing": thing,
    "system": system,
    "part": part,
    "code": code,
}
