"""Values of facts: how they are written, and what they are as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from . import names
from .draw import Draw

MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]


@dataclass(frozen=True)
class Value:
    type: str
    #: as the document says it
    text: str
    #: comparable size, None for names
    amount: Decimal | None = None
    unit: str = ""


def _grouped(number: Decimal) -> str:
    return f"{number:,}"


_CURRENCIES = ("EUR", "EUR", "USD", "GBP", "CHF")


def money(draw: Draw) -> Value:
    unit = draw.choice(_CURRENCIES)
    amount = Decimal(draw.choice((10, 50, 100, 500, 5_000)) * draw.randint(3, 999))
    return Value("money", f"{unit} {_grouped(amount)}", amount, unit)


def percent(draw: Draw) -> Value:
    amount = Decimal(draw.randint(1, 999)) / 10
    # a quarter without the space that style guides ask for
    return Value("percent", f"{amount}{draw.choice(('', ' ', ' ', ' '))}%", amount, "%")


def count(draw: Draw) -> Value:
    amount = Decimal(draw.randint(2, 9_999))
    return Value("count", _grouped(amount), amount)


def duration(draw: Draw) -> Value:
    unit = draw.choice(("days", "weeks", "months", "hours", "minutes"))
    amount = Decimal(draw.randint(2, 96))
    return Value("duration", f"{amount} {unit}", amount, unit)


def day(draw: Draw) -> Value:
    moment = date(2021, 1, 1) + timedelta(days=draw.randrange(365 * 8))
    month = MONTHS[moment.month - 1]
    written = draw.choice((f"{moment.day} {month} {moment.year}",) * 3 + (f"{month} {moment.day}, {moment.year}", str(moment)))
    return Value("date", written, Decimal(moment.toordinal()))


def clock(draw: Draw) -> Value:
    minutes = draw.randrange(24 * 60)
    return Value("clock", f"{minutes // 60:02}:{minutes % 60:02}", Decimal(minutes))


_UNITS = {
    "weight": "kg",
    "load": "kg",
    "length": "mm",
    "bore": "mm",
    "clearance": "mm",
    "draught": "m",
    "pressure": "bar",
    "power": "kW",
    "volume": "litres",
    "tank": "litres",
    "distance": "km",
    "mileage": "km",
    "yield": "kg",
}


def measure(draw: Draw, unit: str = "kg") -> Value:
    amount = Decimal(draw.randint(11, 9_999)) / draw.choice((1, 1, 10))
    return Value("measure", f"{_grouped(amount)} {unit}", amount, unit)


_QUANTITIES = (
    "bar litres kW km m mm kg tonnes °C hectares volts minutes messages seats files pages crates calls visits samples "
    "vehicles pallets parcels trees pupils nights"
).split()


def quantity(draw: Draw, unit: str | None = None) -> Value:
    """A number with any unit."""
    amount = Decimal(draw.choice((1, 1, 1, 10, 1_000)) * draw.randint(2, 4_000)) / draw.choice((1, 1, 10))
    unit = unit or draw.choice(_QUANTITIES)
    return Value("quantity", f"{_grouped(amount)} {unit}", amount, unit)


def person(draw: Draw) -> Value:
    return Value("person", names.person(draw))


def place(draw: Draw) -> Value:
    return Value("place", names.place(draw))


def code(draw: Draw) -> Value:
    return Value("code", names.code(draw))


MAKERS = {
    "money": money,
    "percent": percent,
    "count": count,
    "duration": duration,
    "date": day,
    "clock": clock,
    "measure": measure,
    "quantity": quantity,
    "person": person,
    "place": place,
    "code": code,
}

#: Types whose amounts may be added up and compared when their units agree.
SUMMABLE = ("money", "count")


def make(draw: Draw, type_name: str, phrase: str) -> Value:
    """A value that fits what it is the value of: a length is not in litres."""
    if type_name == "measure":
        return measure(draw, next((unit for word, unit in _UNITS.items() if word in phrase), "kg"))
    return MAKERS[type_name](draw)


def same_unit(draw: Draw, like: Value) -> Value:
    """Another value of the type with the same unit: a column of a table has one."""
    if like.type in ("measure", "quantity"):
        return (measure if like.type == "measure" else quantity)(draw, like.unit)
    while True:
        value = MAKERS[like.type](draw)
        if value.unit == like.unit:
            return value
