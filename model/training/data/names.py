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
_STREETS = "Street Lane Row Quay Yard Road Square Close Gardens Terrace".split()
_COLOURS = "red blue green amber grey white black silver north south east west upper lower inner outer".split()


def stem(draw: Draw) -> str:
    middle = draw.choice(_ONSETS) + draw.choice(_VOWELS) + draw.choice(_CODAS)
    word = middle + draw.choice(_ENDINGS) if draw.chance(0.7) else middle + draw.choice(_VOWELS[:5])
    return word.capitalize()


def company(draw: Draw) -> str:
    return fitting(draw, lambda: f"{stem(draw)} {draw.choice(_FORMS)}")


def person(draw: Draw) -> str:
    return fitting(draw, lambda: f"{draw.choice(_GIVEN)} {stem(draw)}")


def place(draw: Draw) -> str:
    return fitting(draw, lambda: stem(draw))


def street(draw: Draw) -> str:
    return fitting(draw, lambda: f"{draw.randint(1, 199)} {stem(draw)} {draw.choice(_STREETS)}")


def thing(draw: Draw) -> str:
    return fitting(
        draw,
        lambda: f"{draw.choice(_COLOURS)} {draw.choice(_THINGS)} {draw.choice('ABCDEFGHJKLMNP')}{draw.randint(1, 99)}",
    )


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
    "code": code,
}
