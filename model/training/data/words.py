"""Open vocabulary: names and attributes put together from common words, and prose about nothing in particular.

A kind of document has a few dozen nouns; documents of the world have any. What is looked up must be found by where it
stands and not by what it is, so some documents are made of these.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from .draw import Draw, fitting

#: texts written by hand; a kind that is held out is not among them
_TEXTS = Path(__file__).resolve().parents[1] / "tokenizer" / "texts"
_TOKENIZER = Path(__file__).resolve().parents[1] / "state" / "tokenizer.json"
_PROSE = ("agreements", "incidents", "minutes", "specifications")

_NOUNS = (
    "account action address advice agenda agreement air alarm allowance amount analysis animal answer appeal application "
    "archive area arrangement arrival article asset attempt audit authority award bag balance bank basin battery bed "
    "bell benefit bill blade block board boat body boiler bond book border bottle box branch brake brick bridge budget "
    "building bulletin bus cabin cable calendar call camera campaign canal capacity car card care cargo case cash "
    "catalogue ceiling cell centre certificate chain chair change channel chapter charge chart check child choice church "
    "circle claim class clause clay clinic clock cloth club coach coal coast coat code coffee collection colour column "
    "comment committee company complaint concert condition connection consent contact content control copper copy corner "
    "corridor cost council country course court cover credit crew crop cross crowd culture cup curtain curve customer "
    "cycle damage data day deal debt decision defect degree delay delivery demand deposit depth desk detail device diet "
    "direction disc discount district dock door draft drain drawing drill drive drum dust duty edge effect effort "
    "election element energy engine entrance entry error estate event exchange exercise exit expense export extension "
    "facility factor factory failure family fan farm feature fee fence ferry festival field figure file film filter fire "
    "fish flag flat fleet flight floor flow fluid food foot force forest fork form format foundation frame freight "
    "friction front fruit fuel function fund furniture gallery game gap garage garden gas gate gauge gear glass goal "
    "grain grant grass gravel group growth guard guest guide gutter habit hall hammer handle harbour harvest head health "
    "heat heating hedge height hinge hire hole home horse hospital hotel hour house ice image import income index "
    "industry injury ink inquiry insect inspection insurance interest interval invoice iron island item jacket job joint "
    "journal journey judge juice key kit kitchen label labour ladder lake lamp land landing lane lawn layer lead leaf "
    "leak lease lecture leg lens lesson letter level lever library licence lid lift light limit line link liquid list "
    "litter load loan lock log loss machine mail main margin mark market mast material matter meal meaning measure meat "
    "medicine meeting member memory metal meter method milk mill mine minute mirror model module month motion motor mud "
    "museum music nail name needle net network news night node noise north note notice number nurse nut oak oath object "
    "offer office oil opening operation option orchard order oven owner package page paint pair panel paper parcel park "
    "part partner passage patch path patient pattern pause payment pen pension pepper period permit phase phone photo "
    "pier pile pilot pipe plan plant plate platform plot pocket point policy pond pool port post pot powder power "
    "practice premium pressure price print prize probe process product profile profit programme project promise proof "
    "property proposal protein pulse pump purchase purpose quality quarter query question queue rack radio rail rain "
    "range rate ratio record recovery refund region register release relief remark repair reply report request reserve "
    "resin resource response rest result return review reward rice ring risk river road rock rod role roof room root "
    "rope round route row rubber rule sail sale salt sample sand scale scheme school scope score screen screw sea seal "
    "season seat section sector security seed sensor sequence series service session set shaft shape share sheet shelf "
    "shell shelter shift ship shipment shop shore shower sign signal silk sink site size skill slope soap soil sound "
    "source space span speed spring square stage stairs stamp standard station status steam steel stem step stock stone "
    "storage store storm strategy stream street stress strike string structure student study subject sugar suit supply "
    "support surface survey switch system table tank tap target task tax teacher team temperature tenant term test text "
    "theatre theme thread ticket tide tile timber time tin title tool tour tower town track trade traffic train transfer "
    "travel tray treatment tree trial trip truck tube tunnel turn type tyre unit update upgrade use user valley value "
    "valve van vapour vehicle vessel view village visit voice volume vote wage wall warehouse warning wash waste water "
    "wave weather week weight well wheel width wind window wing wire wood wool word work worker yard year yield zone"
).split()
_ADJECTIVES = (
    "absolute active actual additional adequate agreed annual approved average basic best black blue broad busy central "
    "certain chief cold common complete constant correct critical current daily dark dead deep digital direct double dry "
    "due early eastern empty entire equal essential even excess expected external extra fair famous fast federal final "
    "fine firm first fixed flat foreign formal free fresh full further general global good gross growing guaranteed hard "
    "heavy high hourly idle indoor initial inner internal joint junior large last late legal likely local long low main "
    "major maximum mean median medical middle minimum minor mixed mobile modern monthly mutual narrow national natural "
    "net new nominal normal northern novel offshore open optional ordinary original outdoor outer overall paid partial "
    "past peak permanent personal physical plain planned polar poor private proper public pure quick quiet rapid rare raw "
    "ready real recent regional regular relative remote reserve rough round rural safe second secondary secure senior "
    "separate severe sharp short shut-off simple single slow small social soft solid southern spare special specific "
    "stable standard static steady steep strict strong sudden suitable summer temporary thick thin third tight top total "
    "typical upper urban usual vacant valid vertical visible vital warm weak weekly western whole wide winter yearly"
).split()
_ROLES = (
    "adviser agent analyst architect assistant auditor baker builder buyer carpenter carrier chairman clerk client coach "
    "consultant contractor controller coordinator counsel courier customer dealer designer developer director distributor "
    "doctor driver editor electrician employer engineer examiner farmer foreman gardener guarantor guide inspector "
    "insurer investor landlord lawyer leader lender librarian licensee licensor manager mason mechanic mediator merchant "
    "nurse officer operator owner painter partner pharmacist physicist pilot planner plumber porter producer provider "
    "purchaser registrar researcher sailor scientist secretary seller steward supervisor supplier surgeon surveyor tailor "
    "teacher technician tenant tester trainer treasurer tutor vendor warden welder writer"
).split()
_MASSES = (
    "archiving assembly bookkeeping catering cleaning coding collection counselling cutting delivery digitisation dredging "
    "drilling engraving fencing filing forecasting gardening heating hosting housekeeping insulation landscaping laundry "
    "licensing lighting logistics maintenance mapping marketing milling monitoring moulding packaging painting paving "
    "planning planting plumbing printing procurement proofreading publishing recruiting recycling refining removal "
    "reporting restoration roofing sampling scanning scheduling security sorting storage surveying testing training "
    "translation transport treatment tuning ventilation washing welding"
).split()
_SIDES = "north south east west upper lower inner outer left right front rear main reserve spare old new".split()
_VERBS = (
    "accepted added adjusted advised allowed approved arranged asked avoided backed balanced began blocked bought brought "
    "carried caused changed checked chose claimed cleaned cleared closed collected compared completed confirmed considered "
    "covered crossed cut dealt decided defended delayed delivered described designed discussed divided doubted drew "
    "ended entered examined expected explained extended filled finished fitted followed found gave handled held helped "
    "improved included increased informed inspected joined judged kept knew left lifted listed lowered managed marked "
    "measured met missed moved named needed noted noticed offered opened ordered painted paid passed placed planned "
    "praised prepared presented promised proposed protected put quoted raised reached read received recorded reduced "
    "refused released removed renewed repaired replaced reported reviewed revised sealed sent served settled shared "
    "showed signed sold sorted split started stated stopped stored studied supplied supported tested took traced treated "
    "turned used valued viewed visited wanted watched weighed welcomed worked wrote"
).split()
_JOINS = "after before while because although since until where so that if unless".split()
_PLACES = "in at near behind under over beside against within outside through across along from to by with for".split()


@lru_cache(maxsize=1)
def _vocabulary() -> tuple[str, ...]:
    """All words of the texts written by hand."""
    words = {word.lower() for line in _written() for word in re.findall(r"[A-Za-z]{3,}", line)}
    return tuple(sorted(words))


@lru_cache(maxsize=1)
def _tokens() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Tokens of letters: those that begin a word, and all. A token that is never an answer is unlearned."""
    pattern = re.compile(r"Ġ?[A-Za-z]+")
    all_of_letters = sorted(one for one in json.loads(_TOKENIZER.read_text())["model"]["vocab"] if pattern.fullmatch(one))
    begin = tuple(one[1:] for one in all_of_letters if one.startswith("Ġ") and len(one) > 2)
    return begin, tuple(one.removeprefix("Ġ") for one in all_of_letters if len(one) > 1)


def _token_word(draw: Draw) -> str:
    begin, every = _tokens()
    return draw.choice(begin) + (draw.choice(every).lower() if draw.chance(0.5) else "")


def _noun(draw: Draw) -> str:
    way = draw.random()
    return draw.choice(_NOUNS) if way < 0.35 else draw.choice(_vocabulary()) if way < 0.55 else _token_word(draw)


def _capital(draw: Draw, words: str) -> str:
    """As headings are written: first word, all words, or none."""
    way = draw.random()
    return words if way < 0.3 else words[0].upper() + words[1:] if way < 0.65 else words.title()


def topic(draw: Draw) -> str:
    """What a service, a risk, a subject is called."""

    def make() -> str:
        head = draw.choice(_MASSES) if draw.chance(0.4) else _noun(draw)
        before = _noun(draw) if draw.chance(0.5) else draw.choice(_ADJECTIVES)
        tail = f"{before} {head}" if draw.chance(0.85) else f"{before} {_noun(draw)} {head}"
        return _capital(draw, tail + ("s" if head in _NOUNS and draw.chance(0.3) else ""))

    return fitting(draw, make)


def role(draw: Draw) -> str:
    def make() -> str:
        if draw.chance(0.25):
            return draw.choice(_ROLES).capitalize()
        before = draw.choice(_ADJECTIVES) if draw.chance(0.5) else _noun(draw)
        return _capital(draw, f"{before} {draw.choice(_ROLES)}")

    return fitting(draw, make)


def side(draw: Draw) -> str:
    """The north pump, Reserve pump."""
    return fitting(draw, lambda: _capital(draw, f"{draw.choice(_SIDES)} {draw.choice(_NOUNS)}"))


def mark(draw: Draw) -> str:
    """A-11, lantern-5, SL-1: what is numbered."""

    def make() -> str:
        if draw.chance(0.4):
            return f"{draw.choice(_NOUNS)}-{draw.randint(1, 30)}"
        letters = "".join(draw.choice("ABCDEFGHKLMNPRSTVW") for _ in range(draw.choice((1, 1, 2, 3))))
        return f"{letters}-{draw.randint(1, 99)}" if draw.chance(0.7) else f"{letters}{draw.randint(1, 99)}"

    return fitting(draw, make)


def takes_article(name: str) -> bool:
    """The supplier, the north pump; but Lantern and cyber risks."""
    first, last = name.lower().split()[0], name.lower().split()[-1]
    return last in _ROLES or (first in _SIDES and last in _NOUNS)


def phrase(draw: Draw) -> str:
    """What a fact can be about."""
    noun = _noun(draw)
    way = draw.random()
    if way < 0.2:
        return noun
    return f"{draw.choice(_ADJECTIVES) if way < 0.6 else _noun(draw)} {noun}"


MAKERS = {"topic": topic, "role": role, "side": side, "mark": mark}


@lru_cache(maxsize=1)
def _written() -> tuple[str, ...]:
    """Sentences of the texts written by hand."""
    lines = "\n".join((_TEXTS / f"{name}.txt").read_text() for name in _PROSE).split("\n")
    sentences = [one for line in lines for one in re.split(r"(?<=[.;:])\s+(?=[A-Z])", line.strip())]
    numbered = re.compile(r"^[\d.:]+\s+")
    plain = (numbered.sub("", one, count=1) for one in sentences)
    return tuple(one for one in plain if 25 <= len(one) <= 320 and one[0].isalpha())


def _group(draw: Draw) -> str:
    noun = draw.choice(_NOUNS if draw.chance(0.8) else _ROLES)
    return f"{draw.choice(('the', 'the', 'a', 'its', 'each', 'no', 'that', 'one'))} " + (
        f"{draw.choice(_ADJECTIVES)} {noun}" if draw.chance(0.4) else noun
    )


def clause(draw: Draw) -> str:
    """Words in an order that grammar allows; they say nothing."""
    said = f"{_group(draw)} {draw.choice(_VERBS)} {_group(draw)}"
    return f"{said} {draw.choice(_PLACES)} {_group(draw)}" if draw.chance(0.5) else said


def sentence(draw: Draw) -> str:
    """One that no question is about: from a hand-written text, or words in an order that grammar allows."""
    if draw.chance(0.5):
        return draw.choice(_written())
    words = clause(draw)
    if draw.chance(0.4):
        words = f"{words}{draw.choice((', ', ' '))}{draw.choice(_JOINS)} {clause(draw)}"
    return words[0].upper() + words[1:] + "."
