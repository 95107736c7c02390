"""The product's `search_document`, `read_pages` and declarations, as far as trajectories show them.

The same cut into passages, the same score, the same text out; `tests/test_tools.py` compares both.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter

from .dialogue import Document, Page, escape_markers

_TARGET = 280
_HEADING = re.compile(r"#{1,6}\s+\S")
_ROW = re.compile(r"\s*\|.*\|\s*$")
_RULE = re.compile(r"\s*\|[\s:|-]+\|\s*$")
_ENTRY = re.compile(r"\s*(?:[-*•]|\d+(?:\.\d+)*[.)]?|\([a-z\d]+\))\s+\S")
_STOP = frozenset(
    "a an and are as at be by did do does for from had has have how in is it its of on or that the their there this to "
    "was were what when where which who whom whose why will with".split()
)
# letters and digits; the product's pattern also cuts scripts without spaces into pairs, which no text here has
_WORD = re.compile(r"[^\W_]+(?:[.,](?=\d)[0-9]+)*")

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "search_document",
            "description": "Passages with the words of the query, best first.",
            "parameters": {
                "type": "object",
                "properties": {
                    "query": {"type": "string"},
                    "document": {"type": "integer", "minimum": 1},
                    "limit": {"type": "integer", "minimum": 1, "maximum": 10},
                },
                "required": ["query"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "read_pages",
            "description": "Pages of a document, at most 8 at once.",
            "parameters": {
                "type": "object",
                "properties": {name: {"type": "integer", "minimum": 1} for name in ("document", "from", "to")},
                "required": ["document", "from", "to"],
                "additionalProperties": False,
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "calculate",
            "description": 'The exact value: + - * / ( ) %, sum(...), avg(...), min(...), max(...), date("2026-03-01").',
            "parameters": {
                "type": "object",
                "properties": {"expression": {"type": "string"}},
                "required": ["expression"],
                "additionalProperties": False,
            },
        },
    },
]


def cut_passages(document: Document) -> list[tuple[int, str, list[str]]]:
    """(page, text, context) in order."""
    cutter = _Cutter()
    for page in document.pages:
        cutter.add_page(page)
    return cutter.passages


class _Cutter:
    def __init__(self) -> None:
        self.passages: list[tuple[int, str, list[str]]] = []
        self.page = 1
        self.title: list[str] = []
        self.header: list[str] = []
        self.paragraph: list[str] = []

    def add_page(self, page: Page) -> None:
        self.page, self.header = page.number, []
        for line in page.text.split("\n"):
            self.add_line(line, " ".join(line.split()))
        self.end_paragraph()

    def add_line(self, line: str, joined: str) -> None:
        if _ROW.match(line):
            self.end_paragraph()
            if not _RULE.match(line):
                self.passages.append((self.page, joined, self.title + self.header))
                self.header = self.header or [joined]
            return
        self.header = []
        if _HEADING.match(line):
            self.end_paragraph()
            self.title = [joined]
            self.passages.append((self.page, joined, []))
            return
        if joined == "" or _ENTRY.match(line):
            self.end_paragraph()
        if joined:
            self.paragraph.append(line)

    def end_paragraph(self) -> None:
        text = " ".join(" ".join(self.paragraph).split())
        self.paragraph = []
        if text:
            self.passages.extend((self.page, part, self.title) for part in _sentences(text))


def _sentences(text: str) -> list[str]:
    parts: list[str] = []
    for sentence in re.split(r"(?<=[.!?;])\s+", text):
        while len(sentence) > _TARGET:
            space = sentence.rfind(" ", 0, _TARGET + 1)
            end = space if space > 0 else _TARGET
            parts.append(sentence[:end])
            sentence = sentence[end:].lstrip()
        parts.append(sentence)
    passages: list[str] = []
    for part in parts:
        if passages and len(passages[-1]) + 1 + len(part) <= _TARGET:
            passages[-1] += " " + part
        else:
            passages.append(part)
    return passages


def list_terms(text: str) -> list[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    return [_singular(word) for word in _WORD.findall(plain) if word not in _STOP]


def _singular(word: str) -> str:
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and re.search(r"(?:s|x|z|ch|sh)es$", word):
        return word[:-2]
    return word[:-1] if len(word) > 3 and re.search(r"[^s]s$", word) else word


def search_document(document: Document, query: str, limit: int = 5) -> str:
    passages = cut_passages(document)
    counts, lengths = [], []
    for _, text, context in passages:
        terms = list_terms(text)
        count: Counter[str] = Counter(terms)
        for line in context:
            for term in list_terms(line):
                count[term] += 0.5
        counts.append(count)
        lengths.append(len(terms))
    mean = max(sum(lengths) / max(len(lengths), 1), 1)
    wanted = list(dict.fromkeys(list_terms(query)))
    having = {term: sum(term in count for count in counts) for term in wanted}
    weight = {term: math.log(1 + (len(passages) - n + 0.5) / (n + 0.5)) for term, n in having.items()}
    scores = []
    for index, (count, length) in enumerate(zip(counts, lengths)):
        normal = 1.2 * (0.25 + 0.75 * length / mean)
        score = sum(weight[term] * count[term] * 2.2 / (count[term] + normal) for term in wanted if term in count)
        scores.append((-score, index))
    best = [index for score, index in sorted(scores) if score < 0][:limit]
    if not best:
        return f'no passage has a word of "{query}"; use other words'
    return "\n".join(_present(passages[index]) for index in best)


def _present(passage: tuple[int, str, list[str]]) -> str:
    page, text, context = passage
    return f"[1, p. {page}] " + " … ".join([*context, text])


def read_pages(document: Document, first: int, last: int) -> str:
    shown = document.pages[first - 1 : last]
    return "\n".join(f"[page {page.number}]\n{escape_markers(page.text)}" for page in shown)
