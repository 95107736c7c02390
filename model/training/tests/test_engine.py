"""The product's own code on the same input: tokenizer, tools and forward pass. Needs node and an installed checkout."""

import json
import subprocess
from decimal import Decimal
from pathlib import Path

import pytest
import torch

from training.config import ModelConfig, Yarn
from training.data.compose import DocumentForm, compose
from training.data.dialogue import REFLECT, branch, trunk
from training.data.draw import open_draw
from training.data.reports import ReportForm, draw_report
from training.data.searching import TOOLS, read_pages, search_document
from training.encoding import Tokenizer, encode_segments
from training.export import save_network, write_reference
from training.initial import InitialForm, initialize
from training.network import Network
from training.tokenizer.train import train

ROOT = Path(__file__).resolve().parents[3]


def run_node(script: str, value: object):
    """Runs a module that reads JSON from standard input as `input` and writes JSON of `output`."""
    source = (
        "import { readFileSync } from 'node:fs';"
        "const input = JSON.parse(readFileSync(0, 'utf8')); let output;"
        f"{script}; process.stdout.write(JSON.stringify(output));"
    )
    done = subprocess.run(
        ["node", "--import", "tsx", "--input-type=module", "-e", source],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def tokenizer_path(tmp_path_factory):
    """Trained on little, so that it takes a second; the form is the same."""
    form = ReportForm(chars=(400, 1_500), by_search=0.2, calculating=0.2)
    texts = []
    for index in range(150):
        document, turns, tools = draw_report(open_draw(0, "test", index), form)
        texts += [part.text for part in trunk(document, tools) if not part.special]
        texts += [part.text for turn in turns for part in branch(turn, document, tools) if not part.special]
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    path.write_text(json.dumps(train(iter(texts), 1024)))
    return path


def test_both_tokenizers_give_the_same_ids(tokenizer_path):
    tokenizer = Tokenizer(tokenizer_path)
    texts = [
        page.text for index in range(20) for page in compose(open_draw(6, "ids", index), DocumentForm()).document.pages
    ]
    texts += [
        "Zürich – “naïve” 12,345.67 %\r\n\t x",
        "本契約の通知期間",
        "  \n\n  a  b",
        "it's THE end<|im_end|>",
        "😀1²३",
        "",
    ]
    ids = run_node(
        "const { openTokenizer } = await import('./src/engine/tokenizer/tokenizer.ts');"
        "const tokenizer = await openTokenizer(input.folder);"
        "output = input.texts.map((text) => tokenizer.encodePlain(text))",
        {"folder": str(tokenizer_path.parent), "texts": texts},
    )
    assert ids == [list(tokenizer.encode(text)) for text in texts]


def test_a_prompt_is_what_the_product_writes(tokenizer_path):
    tokenizer = Tokenizer(tokenizer_path)
    checked = 0
    for index in range(12):
        form = ReportForm(chars=(400, 900), questions=1, calculating=0.5)
        document, turns, tools = draw_report(open_draw(7, "prompt", index), form)
        if not turns or turns[0].calls:
            continue
        segments = branch(turns[0], document, tools)
        last = max(i for i, part in enumerate(segments) if part.special and part.text == "<|im_middle|>")
        mine = encode_segments(tokenizer, [*trunk(document, tools), *segments[: last + 1]]).ids
        theirs = run_node(
            "const { openTokenizer } = await import('./src/engine/tokenizer/tokenizer.ts');"
            "const { encodePrompt } = await import('./src/engine/tokenizer/chat-template.ts');"
            "const { buildAnalysisRequest } = await import('./src/pipeline/run-analysis.ts');"
            "const { question, form: answer } = input;"
            "const asked = { question, answer, schema: null, maxTokens: 9, maxToolCalls: input.tools && 4 };"
            "const card = { outlineLines: null, questionFirst: true };"
            "const { messages } = buildAnalysisRequest({}, asked, [input.document], true, card);"
            "output = encodePrompt(await openTokenizer(input.folder), messages, input.tools, 2)",
            {
                "folder": str(tokenizer_path.parent),
                "tools": tools,
                "question": turns[0].question,
                "form": turns[0].form,
                "document": {
                    "name": document.name,
                    "pageKind": document.page_kind,
                    "pages": [{"number": page.number, "text": page.text} for page in document.pages],
                },
            },
        )
        assert theirs["ids"] == mine
        checked += 1
    assert checked >= 4


def test_a_check_is_asked_for_in_the_products_words():
    said = run_node(
        "const { reflectionTurn } = await import('./src/pipeline/prompts/reflection.prompt.ts'); output = reflectionTurn", {}
    )
    assert said == REFLECT


def test_tools_answer_as_the_products_do():
    calls, wanted, documents = [], [], []
    for index in range(15):
        built = compose(open_draw(8, "tools", index), DocumentForm(chars=(800, 4_000)))
        documents.append({"name": "a", "pages": [{"number": p.number, "text": p.text} for p in built.document.pages]})
        for one in built.statements[:4]:
            query = f"{one.fact.attribute.phrase} {one.fact.entity}"
            calls.append([index, "search_document", {"query": query, "limit": 4}])
            wanted.append(search_document(built.document, query, 4))
        calls.append([index, "read_pages", {"document": 1, "from": 1, "to": 1}])
        wanted.append(read_pages(built.document, 1, 1))
        amounts = [one.fact.value.amount for one in built.statements if one.fact.value.amount is not None]
        if amounts:
            calls.append([index, "calculate", {"expression": " + ".join(map(str, amounts))}])
            wanted.append(sum(amounts))
    got = run_node(
        "const { buildDocumentTools, buildToolRegistry } = await import('./src/pipeline/tools/registry.ts');"
        "const registries = input.documents.map((one) => buildToolRegistry(buildDocumentTools([one])));"
        "output = { declarations: registries[0].declarations,"
        " results: input.calls.map(([index, name, args]) => registries[index].call(name, JSON.stringify(args))) }",
        {"documents": documents, "calls": calls},
    )
    assert got["declarations"] == TOOLS
    for call, mine, theirs in zip(calls, wanted, got["results"]):
        assert (Decimal(theirs) if call[1] == "calculate" else theirs) == mine, call


def test_the_product_verifies_an_exported_model(tokenizer_path, tmp_path):
    network = Network(
        ModelConfig(
            vocab=1024,
            hidden=128,
            layers=3,
            heads=4,
            q_lora=96,
            latent=128,
            rope=32,
            nope=32,
            value=32,
            dense=128,
            expert=64,
            experts=8,
            top_k=2,
            yarn=Yarn(8, 4096),
        )
    )
    initialize(network, InitialForm(look_back=2, match_heads=1))
    with torch.no_grad():
        for experts in network.expert_layers():
            experts.bias.copy_(torch.randn(8) * 0.02)
    save_network(network, tokenizer_path, tmp_path)
    write_reference(tmp_path)
    done = subprocess.run(
        ["node", "src/cli/quire.mjs", "model", "verify", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip().splitlines()[-1].startswith(f"ok {tmp_path} ")
