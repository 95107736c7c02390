"""A run as data: the model's shape, its initial form, and stages with what is read, how long, and at which rate."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from .config import ModelConfig, Yarn
from .initial import InitialForm
from .muonclip import Rates


@dataclass(frozen=True)
class Source:
    """Samples of one kind with their share of the stage's samples and the generator's own settings."""

    kind: str
    share: float
    form: dict


@dataclass(frozen=True)
class Stage:
    name: str
    #: trained tokens, padding not counted
    tokens: int
    rows: int
    length: int
    sources: tuple[Source, ...]
    #: factor of the peak learning rates, linear from first to second over the stage
    rate: tuple[float, float] = (1.0, 1.0)
    #: INT4 rounding of the experts in the forward pass
    quantize: bool = False
    #: rotary frequencies of the longer window
    yarn: bool = False
    #: a sample longer than a row, up to so many tokens, is a row by itself; only where a batch is one row
    longest: int = 0
    #: the stage ends early once value accuracy where another entity has the same attribute reaches this
    promote: float | None = None


@dataclass(frozen=True)
class Recipe:
    name: str
    config: ModelConfig
    initial: InitialForm
    rates: Rates
    stages: tuple[Stage, ...]
    seed: int = 1
    warm_up: int = 30
    clip: float | None = 100.0
    balance_step: float = 0.001
    #: what is evaluated and exported is the mean of the weights: each step keeps this share of it
    average: float = 0.99
    #: layers in the middle are told what they should know of a document (`hints.py`)
    hints: bool = False
    eval_every: int = 200
    eval_questions: int = 200
    #: with tools, longer documents are searched in place of read; null: what half the window holds is read
    whole_document_tokens: int | None = None
    #: most headings of an outline, as `quire.json` says it to the product
    outline_lines: int | None = None
    source: dict = field(default_factory=dict)


def _only(kind: type, fields: dict, where: str) -> dict:
    known = set(kind.__dataclass_fields__)
    unknown = set(fields) - known
    if unknown:
        raise ValueError(f"{where}: unknown {', '.join(sorted(unknown))}, allowed: {', '.join(sorted(known))}")
    return {name: tuple(value) if isinstance(value, list) else value for name, value in fields.items()}


def parse_stage(fields: dict) -> Stage:
    parsed = _only(Stage, fields, f"stage {fields.get('name')}")
    parsed["sources"] = tuple(Source(**_only(Source, source, "source")) for source in fields["sources"])
    return Stage(**parsed)


def parse_recipe(fields: dict) -> Recipe:
    model = _only(ModelConfig, fields["config"], "config")
    yarn = model.pop("yarn", None)
    return Recipe(
        name=fields["name"],
        config=ModelConfig(**model, yarn=Yarn(**yarn) if yarn else None),
        initial=InitialForm(**_only(InitialForm, fields.get("initial", {}), "initial")),
        rates=Rates(**_only(Rates, fields.get("rates", {}), "rates")),
        stages=tuple(parse_stage(stage) for stage in fields["stages"]),
        **{name: fields[name] for name in _PLAIN if name in fields},
        source=fields,
    )


#: fields of a recipe that are numbers or yes and no
_PLAIN = tuple(
    "seed warm_up clip balance_step average hints eval_every eval_questions whole_document_tokens outline_lines".split()
)


def load_recipe(path: Path) -> Recipe:
    return parse_recipe(json.loads(path.read_text()))
