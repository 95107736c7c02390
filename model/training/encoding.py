"""Text to token ids with the tokenizer that ships, and segments to ids, weights and roles."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer as FastTokenizer

from .copies import Places, Said
from .data import marks
from .data.dialogue import Segment
from .hints import ANSWER, ATTRIBUTE, ENTITY, INSIDE, START, number_tag


class Tokenizer:
    """Special tokens inside text stay text, as in the engine."""

    def __init__(self, path: Path):
        import json

        described = json.loads(path.read_text())
        self.specials = {token["content"]: token["id"] for token in described["added_tokens"]}
        self.vocabulary = max(self.specials.values()) + 1
        # without added tokens nothing in a text can become one
        described["added_tokens"] = []
        self._fast = FastTokenizer.from_str(json.dumps(described))
        self._whole = FastTokenizer.from_file(str(path))
        self._cached = lru_cache(maxsize=50_000)(self._encode)

    def _encode(self, text: str) -> tuple[int, ...]:
        return tuple(self._fast.encode(text, add_special_tokens=False).ids)

    def encode(self, text: str) -> tuple[int, ...]:
        return self._cached(text) if len(text) < 400 else self._encode(text)

    def special(self, name: str) -> int:
        return self.specials[name]

    def decode(self, ids) -> str:
        return self._whole.decode(list(ids), skip_special_tokens=False)


@dataclass
class Encoded:
    ids: list[int]
    #: loss of predicting this token
    weights: list[float]
    #: True where the token belongs to words that had to be found
    sought: list[bool]
    #: what the token is to the question, as `hints.py` has it
    tags: list[int] = field(default_factory=list)
    #: where words stand that are said again
    places: Places = field(default_factory=Places)
    #: where a token that is learned stands in what it is copied from, or -1
    sources: list[int] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.ids)


def encode_segments(tokenizer: Tokenizer, segments: list[Segment], said: Said = Said()) -> Encoded:
    """Adjacent texts are one text for the tokenizer, as in a prompt; a token takes the marks of its first character.
    `said`: words whose places are noted."""
    encoded = Encoded([], [], [])
    run: list[Segment] = []

    def flush() -> None:
        if not run:
            return
        text = "".join(part.text for part in run)
        ids = tokenizer.encode(text)
        starts = _starts(tokenizer, ids, text)
        borders, at = [], 0
        for part in run:
            at += len(part.text)
            borders.append(at)
        tags = _tag(run, borders, starts)
        encoded.places.note(said, text, starts, tags, len(encoded.ids))
        index = 0
        for token, start, tag in zip(ids, starts, tags):
            while start >= borders[index]:
                index += 1
            encoded.tags.append(tag)
            encoded.ids.append(token)
            encoded.weights.append(run[index].weight)
            encoded.sought.append(run[index].role == "value")
        run.clear()

    for segment in segments:
        if segment.special:
            flush()
            encoded.ids.append(tokenizer.special(segment.text))
            encoded.weights.append(segment.weight)
            encoded.sought.append(False)
            encoded.tags.append(-1)
        elif segment.text:
            run.append(segment)
    flush()
    return encoded


def _tag(run: list[Segment], borders: list[int], starts: list[int]) -> list[int]:
    """Of each token; a name is told by its last one, an answer by its first."""
    tags = [-1] * len(starts)
    for part, border in zip(run, borders):
        if part.marks is None:
            continue
        base = border - len(part.text)
        for index in range(bisect_left(starts, base), bisect_left(starts, border)):
            tags[index] = 0
        for mark in part.marks:
            # the token in which a character stands
            first, last = (bisect_right(starts, base + at) - 1 for at in (mark.start, mark.end - 1))
            if mark.kind == marks.ANSWER:
                tags[first] = max(tags[first], 0) | START | number_tag(mark.number)
                for index in range(first, last + 1):
                    tags[index] = max(tags[index], 0) | ANSWER
                continue
            if mark.kind == marks.ROW:
                tags[first] = max(tags[first], 0) | number_tag(mark.number)
                continue
            for index in range(first, last + 1):
                tags[index] = max(tags[index], 0) | INSIDE
            tags[last] |= ENTITY if mark.kind == marks.ENTITY else ATTRIBUTE
    return tags


def _starts(tokenizer: Tokenizer, ids, text: str) -> list[int]:
    if text.isascii():
        starts, at = [], 0
        for token in ids:
            starts.append(at)
            at += tokenizer_width(tokenizer, token)
        return starts
    return [start for start, _ in tokenizer._fast.encode(text, add_special_tokens=False).offsets]


def tokenizer_width(tokenizer: Tokenizer, token: int) -> int:
    """Bytes of a token; for ASCII text they are its characters."""
    if not hasattr(tokenizer, "_widths"):
        vocabulary = tokenizer._fast.get_vocab()
        tokenizer._widths = {index: len(text) for text, index in vocabulary.items()}
    return tokenizer._widths[token]
