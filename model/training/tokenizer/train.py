"""Trains the byte-level BPE of the bundled model and writes tokenizer.json in the form the engine reads.

    python -m training.tokenizer.train OUT.json [--vocabulary 4096] [--documents 3000]

Texts: the generator's own training documents and dialogues, and those written by hand in `texts/`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

TEXTS = Path(__file__).resolve().parent / "texts"

SPECIALS = (
    "[BOS] [EOS] <|im_end|> <|im_user|> <|im_assistant|> <|start_header_id|> <|end_header_id|> [EOT] <|im_system|> "
    "<|tool_calls_section_begin|> <|tool_calls_section_end|> <|tool_call_begin|> <|tool_call_argument_begin|> "
    "<|tool_call_end|> <|im_middle|> <|media_begin|> <|media_content|> <|media_end|> <|media_pad|> <think> </think> "
    "[UNK] [PAD]"
).split()

_HAN = "[一-鿿㐀-䶿]"
_UPPER = rf"(?:(?!{_HAN})[\p{{Lu}}\p{{Lt}}\p{{Lm}}\p{{Lo}}\p{{M}}])"
_LOWER = rf"(?:(?!{_HAN})[\p{{Ll}}\p{{Lm}}\p{{Lo}}\p{{M}}])"
_CONTRACTION = "(?:'(?:[sS]|[tT]|[rR][eE]|[vV][eE]|[mM]|[lL][lL]|[dD]))?"

#: The family's split with digits by themselves, as in the tokenizer before this one.
SPLIT = "|".join(
    (
        f"{_HAN}+",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTION}",
        rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTION}",
        r"\p{N}",
        r" ?[^\s\p{L}\p{N}]+[\r\n]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)


def corpus(documents: int) -> Iterator[str]:
    from ..data.stream import corpus_texts

    for path in sorted(TEXTS.iterdir()):
        # a human's text counts more than one template's
        for _ in range(8):
            yield path.read_text()
    yield from corpus_texts(documents)


def train(texts: Iterator[str], vocabulary: int) -> dict:
    """Content of tokenizer.json. Ids: 256 bytes in byte order, merges in order of training, special tokens on top."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(SPLIT), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    text_tokens = vocabulary - len(SPECIALS)
    trainer = trainers.BpeTrainer(
        vocab_size=text_tokens,
        min_frequency=2,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    described = json.loads(tokenizer.to_str())
    if len(described["model"]["vocab"]) != text_tokens:
        raise ValueError(f"texts give {len(described['model']['vocab'])} tokens, {text_tokens} wanted: add text")
    described["added_tokens"] = [
        {
            "id": text_tokens + index,
            "content": content,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            # as in the family: thoughts survive decoding without special tokens
            "special": content not in ("<think>", "</think>"),
        }
        for index, content in enumerate(SPECIALS)
    ]
    return described


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--vocabulary", type=int, default=4096)
    parser.add_argument("--documents", type=int, default=3000)
    options = parser.parse_args()
    described = train(corpus(options.documents), options.vocabulary)
    options.out.write_text(json.dumps(described, ensure_ascii=False, indent=1) + "\n")
    print(f"{options.out}: {options.vocabulary} entries, {len(described['model']['merges'])} merges")


if __name__ == "__main__":
    main()
