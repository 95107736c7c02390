"""Greedy decoding, for evaluation: the model writes the whole turn by itself."""

from __future__ import annotations

import json
import re

import torch

from .data.dialogue import Turn, branch, trunk
from .encoding import Tokenizer, encode_segments
from .network import Network


@torch.no_grad()
def continue_greedily(network: Network, prompt: list[int], stop: int, most: int) -> list[int]:
    """Tokens after the prompt up to and without `stop`. Reads the whole row again at each step: short rows only."""
    device = network.embedding.device
    ids = list(prompt)
    for _ in range(most):
        with torch.autocast(device.type, dtype=torch.bfloat16):
            last = torch.tensor([len(ids) - 1], device=device)
            logits = network(torch.tensor([ids], device=device), wanted=last)
        token = int(logits[0].argmax())
        if token == stop:
            break
        ids.append(token)
    return ids[len(prompt) :]


def split_at_answer(segments: list) -> tuple[list, list]:
    """A branch's segments up to the last assistant header, and what the model has to say."""
    last = max(index for index, segment in enumerate(segments) if segment.special and segment.text == "<|im_middle|>")
    return segments[: last + 1], segments[last + 1 :]


def grade(written: str, turn: Turn, pages: dict[int, str]) -> dict[str, bool]:
    """`exact`: the answer's value, typed; `verified`: every quote stands on its page, and there is one where one is due."""
    content = written.split("</think>")[-1]
    if turn.form != "json":
        found = content.strip() == turn.answer.to_text()
        return {"exact": found, "verified": found}
    try:
        answer = json.loads(content)
    except ValueError:
        return {"exact": False, "verified": False}
    quotes = answer.get("citations") if isinstance(answer, dict) else None
    if not isinstance(quotes, list):
        return {"exact": False, "verified": False}
    exact = _trimmed(answer.get("answer")) == turn.answer.value and answer.get("found") == turn.answer.found
    verified = bool(quotes) == bool(turn.answer.citations) and all(_stands(one, pages) for one in quotes)
    return {"exact": exact, "verified": verified}


def _trimmed(value: object) -> object:
    """As the product does: a text without the white space around it."""
    if isinstance(value, list):
        return [_trimmed(one) for one in value]
    return value.strip() if isinstance(value, str) else value


def _stands(citation: object, pages: dict[int, str]) -> bool:
    if not isinstance(citation, dict) or not isinstance(citation.get("quote"), str):
        return False
    return stands(citation["quote"], pages.get(citation.get("page"), ""))


def stands(quote: str, page: str) -> bool:
    """As the product sees it: white space is free, and `…` stands for words left out."""
    at, parts = 0, [part.split() for part in re.split(r"…|\.{3,}", quote)]
    for words in filter(None, parts):
        match = re.compile(r"\s+".join(map(re.escape, words))).search(page, at)
        if match is None:
            return False
        at = match.end()
    return any(parts)


def answer_turn(
    network: Network, tokenizer: Tokenizer, document, turn: Turn, tools, most: int = 400
) -> dict[str, bool]:
    asked, _ = split_at_answer(branch(turn, document, tools))
    prompt = encode_segments(tokenizer, [*trunk(document, tools), *asked]).ids
    written = continue_greedily(network, prompt, tokenizer.special("<|im_end|>"), most)
    return grade(tokenizer.decode(written), turn, {page.number: page.text for page in document.pages})
