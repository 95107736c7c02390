"""Kinds of documents. Letters and insurance policies are never trained on."""

from .annual_report import ANNUAL_REPORT
from .contract import CONTRACT
from .incident import INCIDENT
from .kind import Kind
from .letter import LETTER
from .log import LOG
from .minutes import MINUTES
from .policy import POLICY
from .specification import SPECIFICATION

KINDS: tuple[Kind, ...] = (CONTRACT, INCIDENT, ANNUAL_REPORT, MINUTES, SPECIFICATION, LOG, LETTER, POLICY)


def find_kinds(held_out: bool) -> list[Kind]:
    return [kind for kind in KINDS if kind.held_out == held_out]
