"""What a fact can be about: nouns by type of value, with modifiers that multiply them."""

from __future__ import annotations

from dataclasses import dataclass

from .draw import Draw

_MODIFIERS = (
    "initial annual monthly final basic special late early first second third extra reduced standard joint interim "
    "local central internal external minimum maximum planned agreed revised former current regular weekly daily"
).split()

_NOUNS = {
    "money": "fee deposit rent charge budget price premium bonus penalty grant loan subsidy refund tariff cost fine wage bid reserve advance surety bail toll".split(),
    "percent": "share discount margin rebate rate surcharge quota yield tolerance utilisation turnout moisture humidity coverage".split(),
    "count": "headcount quantity stock capacity output attendance backlog circulation enrolment volume crew catch turnover fleet".split(),
    "duration": "notice warranty delay deadline leave warm-up cooling probation downtime interval term stay runtime cycle".split(),
    "date": "start inspection renewal delivery audit review opening closure handover meeting launch survey hearing repair expiry".split(),
    "clock": "departure arrival shutdown restart briefing curfew backup alarm".split(),
    "measure": "weight length height depth span pressure load clearance power distance yield".split(),
    "person": "manager auditor owner engineer chair deputy contact supervisor notary trustee pilot surveyor nurse captain agent clerk".split(),
    "place": "site depot branch office warehouse laboratory archive plant shelter kitchen harbour workshop".split(),
    "code": "reference permit licence account badge ticket locker contract docket parcel policy serial".split(),
}


@dataclass(frozen=True)
class Attribute:
    phrase: str
    type: str


def attribute(draw: Draw, type_name: str) -> Attribute:
    noun = draw.choice(_NOUNS[type_name])
    return Attribute(f"{draw.choice(_MODIFIERS)} {noun}" if draw.chance(0.6) else noun, type_name)


def attribute_types() -> list[str]:
    return list(_NOUNS)
