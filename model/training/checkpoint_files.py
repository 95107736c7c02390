"""Hugging Face folders of the family: reading one into a network, and the names both sides use."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file

from .config import load_config
from .experts import Experts, Mlp
from .network import Network
from .qat import dequantize, unpack


def averaged(state: dict) -> dict[str, torch.Tensor]:
    """What of a run's state is evaluated and exported: the mean of the weights, and the buffers as they are."""
    return {**state["network"], **state.get("average", {})}


def mlp_names(mlp: Mlp, prefix: str):
    yield f"{prefix}.gate_proj", mlp.gate
    yield f"{prefix}.up_proj", mlp.up
    yield f"{prefix}.down_proj", mlp.down


def expert_names(experts: Experts, prefix: str):
    """The INT4 part: name and a view of the stacked weight."""
    width = experts.down.shape[-1]
    for index in range(experts.total):
        yield f"{prefix}.experts.{index}.gate_proj", experts.gate_up[index, :width]
        yield f"{prefix}.experts.{index}.up_proj", experts.gate_up[index, width:]
        yield f"{prefix}.experts.{index}.down_proj", experts.down[index]


def plain_names(network: Network):
    """Everything stored as it is: (name of the tensor, parameter)."""
    yield "model.embed_tokens.weight", network.embedding
    for layer, block in enumerate(network.blocks):
        prefix = f"model.layers.{layer}"
        attention = block.attention
        yield f"{prefix}.input_layernorm.weight", block.attention_norm.weight
        if attention.config.q_lora is None:
            yield f"{prefix}.self_attn.q_proj.weight", attention.q
        else:
            yield f"{prefix}.self_attn.q_a_proj.weight", attention.q_a
            yield f"{prefix}.self_attn.q_a_layernorm.weight", attention.q_norm.weight
            yield f"{prefix}.self_attn.q_b_proj.weight", attention.q_b
        yield f"{prefix}.self_attn.kv_a_proj_with_mqa.weight", attention.kv_a
        yield f"{prefix}.self_attn.kv_a_layernorm.weight", attention.kv_norm.weight
        yield f"{prefix}.self_attn.kv_b_proj.weight", attention.kv_b
        yield f"{prefix}.self_attn.o_proj.weight", attention.out
        yield f"{prefix}.post_attention_layernorm.weight", block.mlp_norm.weight
        if isinstance(block.mlp, Experts):
            yield f"{prefix}.mlp.gate.weight", block.mlp.router
            yield f"{prefix}.mlp.gate.e_score_correction_bias", block.mlp.bias
            for name, weight in mlp_names(block.mlp.shared, f"{prefix}.mlp.shared_experts"):
                yield f"{name}.weight", weight
        else:
            for name, weight in mlp_names(block.mlp, f"{prefix}.mlp"):
                yield f"{name}.weight", weight
    yield "model.norm.weight", network.norm.weight
    yield "lm_head.weight", network.head


def packed_names(network: Network):
    for layer, block in enumerate(network.blocks):
        if isinstance(block.mlp, Experts):
            yield from expert_names(block.mlp, f"model.layers.{layer}.mlp")


@torch.no_grad()
def load_network(folder: Path) -> Network:
    """A network in float32 with the stored weights. Raises KeyError for a missing tensor."""
    network = Network(load_config(folder))
    stored = load_file(folder / "model.safetensors")
    for name, parameter in plain_names(network):
        parameter.copy_(stored[name].float())
    for name, parameter in packed_names(network):
        if f"{name}.weight_packed" in stored:
            weight = dequantize(unpack(stored[f"{name}.weight_packed"]), stored[f"{name}.weight_scale"])
        else:
            weight = stored[f"{name}.weight"].float()
        parameter.copy_(weight)
    return network.eval()
