"""Random draws that depend on a seed and a path of words only, so that any sample can be made again by itself."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import TypeVar

T = TypeVar("T")

#: Names are dealt to training or to evaluation by their hash: one in so many is held out.
HELD_OUT_SHARE = 8


class Draw(random.Random):
    """`held_out`: make names that training never shows."""

    held_out = False

    def chance(self, probability: float) -> bool:
        return self.random() < probability

    def distinct(self, make: Callable[[], T], total: int, key: Callable[[T], object] = lambda item: item) -> list[T]:
        """`total` results of `make` with different keys. Raises RuntimeError when `make` has too few."""
        found: dict[object, T] = {}
        for _ in range(100 + 50 * total):
            if len(found) == total:
                break
            item = make()
            found.setdefault(key(item), item)
        if len(found) < total:
            raise RuntimeError(f"{len(found)} distinct draws, {total} wanted")
        return list(found.values())

    def some(self, items: Sequence[T], total: int) -> list[T]:
        return self.sample(list(items), min(total, len(items)))


def open_draw(seed: int, *path: object, held_out: bool = False) -> Draw:
    draw = Draw("/".join(str(part) for part in (seed, held_out, *path)))
    draw.held_out = held_out
    return draw


def is_held_out(name: str) -> bool:
    return sha256(name.encode()).digest()[0] % HELD_OUT_SHARE == 0


def fitting(draw: Draw, make: Callable[[], str]) -> str:
    """A name of the side that `draw` is on."""
    while True:
        name = make()
        if is_held_out(name) == draw.held_out:
            return name
