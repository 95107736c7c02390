"""Kinds of questions. Reverse look-ups and differences are never trained on."""

from .question import QuestionKind
from .several import KINDS as SEVERAL
from .single import KINDS as SINGLE

QUESTIONS: tuple[QuestionKind, ...] = (*SINGLE, *SEVERAL)


def find_questions(held_out: bool) -> list[QuestionKind]:
    return [kind for kind in QUESTIONS if kind.held_out == held_out]
