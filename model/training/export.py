"""Writes a trained network as a folder of the family: INT4 experts, BF16 rest, reference logits beside them.

    python -m training.export STATE.pt RECIPE.json TOKENIZER.json OUT

`npx quire model verify OUT` then compares the product's forward pass with this one.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from .checkpoint_files import averaged, load_network, packed_names, plain_names
from .config import ModelConfig
from .data.dialogue import branch, trunk
from .data.draw import open_draw
from .data.reports import ReportForm, draw_report
from .encoding import Tokenizer, encode_segments
from .network import Network
from .qat import GROUP, int4_codes, pack
from .recipe import load_recipe

TEMPLATE = Path(__file__).resolve().parents[1] / "chat_template.jinja"

#: what stands beside every answer of the bundled model
NAME = "quire-nano"
NOTICE = (
    "quire-nano is a small model: it looks up what a document says of a thing, compares two, counts and adds a few, read "
    "whole in short documents or found by search in long ones. Look at the quotes; other questions it mostly gets wrong"
)


def describe(config: ModelConfig, tokenizer: Tokenizer) -> dict:
    """config.json as the family writes it."""
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "kimi_k2",
        "vocab_size": config.vocab,
        "hidden_size": config.hidden,
        "intermediate_size": config.dense,
        "moe_intermediate_size": config.expert,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.heads,
        "n_shared_experts": config.shared,
        "n_routed_experts": config.experts,
        "num_experts_per_tok": config.top_k,
        "routed_scaling_factor": config.scaling,
        "first_k_dense_replace": config.dense_layers,
        "moe_layer_freq": 1,
        "n_group": 1,
        "topk_group": 1,
        "topk_method": "noaux_tc",
        "scoring_func": "sigmoid",
        "norm_topk_prob": True,
        "q_lora_rank": config.q_lora,
        "kv_lora_rank": config.latent,
        "qk_rope_head_dim": config.rope,
        "qk_nope_head_dim": config.nope,
        "v_head_dim": config.value,
        "hidden_act": "silu",
        "attention_bias": False,
        "tie_word_embeddings": False,
        "rms_norm_eps": config.eps,
        "rope_theta": config.theta,
        "rope_scaling": None
        if config.yarn is None
        else {
            "type": "yarn",
            "factor": config.yarn.factor,
            "original_max_position_embeddings": config.yarn.original,
            "beta_fast": config.yarn.beta_fast,
            "beta_slow": config.yarn.beta_slow,
            "mscale": config.yarn.mscale,
            "mscale_all_dim": config.yarn.mscale_all_dim,
        },
        "max_position_embeddings": config.window,
        "bos_token_id": tokenizer.special("[BOS]"),
        "eos_token_id": tokenizer.special("<|im_end|>"),
        "pad_token_id": tokenizer.special("[PAD]"),
        "torch_dtype": "bfloat16",
        "quantization_config": {
            "quant_method": "compressed-tensors",
            "format": "pack-quantized",
            "quantization_status": "compressed",
            "config_groups": {
                "group_0": {
                    "targets": ["Linear"],
                    "weights": {
                        "num_bits": 4,
                        "type": "int",
                        "symmetric": True,
                        "strategy": "group",
                        "group_size": GROUP,
                        "dynamic": False,
                        "actorder": None,
                        "observer": "minmax",
                    },
                    "input_activations": None,
                    "output_activations": None,
                }
            },
            "ignore": [
                "lm_head",
                "re:.*self_attn.*",
                "re:.*shared_experts.*",
                "re:.*mlp\\.(gate|up|gate_up|down)_proj.*",
            ],
            "kv_cache_scheme": None,
        },
    }


@torch.no_grad()
def save_network(network: Network, tokenizer_path: Path, folder: Path) -> None:
    """config.json, generation_config.json, tokenizer, template, weights. The rest of the folder is left alone."""
    tokenizer = Tokenizer(tokenizer_path)
    if tokenizer.vocabulary > network.config.vocab:
        raise ValueError(f"tokenizer has {tokenizer.vocabulary} entries, the model {network.config.vocab}")
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, torch.Tensor] = {}
    for name, parameter in plain_names(network):
        kind = torch.float32 if name.endswith("e_score_correction_bias") else torch.bfloat16
        tensors[name] = parameter.detach().to(kind).contiguous().cpu()
    for name, parameter in packed_names(network):
        codes, scale = int4_codes(parameter.detach().cpu())
        tensors[f"{name}.weight_packed"] = pack(codes)
        tensors[f"{name}.weight_scale"] = scale
        tensors[f"{name}.weight_shape"] = torch.tensor(parameter.shape, dtype=torch.int32)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    # made for its owner alone otherwise
    (folder / "model.safetensors").chmod(0o644)
    _write(folder / "config.json", describe(network.config, tokenizer))
    _write(
        folder / "generation_config.json",
        {
            "temperature": 1.0,
            "do_sample": True,
            "bos_token_id": tokenizer.special("[BOS]"),
            "eos_token_id": tokenizer.special("<|im_end|>"),
            "pad_token_id": tokenizer.special("[PAD]"),
        },
    )
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "add_bos_token": False,
            "add_eos_token": False,
            "bos_token": "[BOS]",
            "eos_token": "<|im_end|>",
            "unk_token": "[UNK]",
            "pad_token": "[PAD]",
            "clean_up_tokenization_spaces": False,
            "model_max_length": network.config.window,
        },
    )
    shutil.copyfile(tokenizer_path, folder / "tokenizer.json")
    shutil.copyfile(TEMPLATE, folder / "chat_template.jinja")


@torch.no_grad()
def write_reference(folder: Path, prompt_tokens: int = 300, steps: int = 24) -> None:
    """expected.json and its logits: what this forward pass says about the stored weights, in float32.

    Of every eighth position and of those around a block border of the engine, which keeps the file small.
    """
    network = load_network(folder)
    tokenizer = Tokenizer(folder / "tokenizer.json")
    form = ReportForm(chars=(600, 1_200), questions=1)
    document, turns, tools = next(
        drawn
        for index in range(100)
        if (drawn := draw_report(open_draw(5, "reference", index, held_out=True), form))[1]
    )
    ids = encode_segments(tokenizer, [*trunk(document, tools), *branch(turns[0], document, tools)]).ids[:prompt_tokens]
    logits = network(torch.tensor([ids]))[0]
    chosen, margins = [], []
    for _ in range(steps):
        best = network(torch.tensor([ids + chosen]))[0, -1].topk(2)
        chosen.append(int(best.indices[0]))
        margins.append(float(best.values[0] - best.values[1]))
    positions = sorted({*range(7, len(ids), 8), *range(254, min(258, len(ids))), len(ids) - 1})
    logits = logits[positions]
    logits.numpy().astype("<f4").tofile(folder / "expected-logits.f32")
    _write(
        folder / "expected.json",
        {
            "input_ids": ids,
            "positions": positions,
            "logits_shape": list(logits.shape),
            "logits_file": "expected-logits.f32",
            "greedy_continuation": chosen,
            "greedy_margins": margins,
        },
    )


def _write(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("state", type=Path)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("tokenizer", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    state = torch.load(options.state, map_location="cpu", weights_only=True)
    stage = recipe.stages[min(state["place"]["stage"], len(recipe.stages) - 1)]
    # the rotary frequencies that the last stage was trained with
    network = Network(recipe.config if stage.yarn else recipe.config.changed(yarn=None))
    network.load_state_dict(averaged(state))
    save_network(network, options.tokenizer, options.out)
    _write(
        options.out / "quire.json",
        {
            "version": 1,
            "id": NAME,
            "weights": "trained",
            "notice": NOTICE,
            "whole_document_tokens": recipe.whole_document_tokens,
            "outline_lines": recipe.outline_lines,
            # as `data/dialogue.py` writes it
            "question_first": True,
        },
    )
    place = state["place"]
    _write(
        options.out / "training.json",
        {"recipe": recipe.name, "tokens": place["tokens"], "steps": place["step"], "seconds": round(place["seconds"])},
    )
    write_reference(options.out)
    total = sum(path.stat().st_size for path in options.out.iterdir())
    print(f"{options.out}: {total / 2**20:.1f} MiB after {state['place']['tokens'] / 1e6:.1f}M tokens")


if __name__ == "__main__":
    main()
