"""Shape of a model: what config.json of a Kimi-K2 checkpoint says, as far as the forward pass needs it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from pathlib import Path


@dataclass(frozen=True)
class Yarn:
    """Rotary frequencies for a window longer than the one trained on."""

    factor: float
    original: int
    beta_fast: float = 1.0
    beta_slow: float = 1.0
    mscale: float = 1.0
    mscale_all_dim: float = 1.0


@dataclass(frozen=True)
class ModelConfig:
    vocab: int
    hidden: int
    layers: int
    heads: int
    #: None: queries come straight from the hidden state, as in Moonlight
    q_lora: int | None
    latent: int
    rope: int
    nope: int
    value: int
    dense: int
    expert: int
    experts: int
    top_k: int
    shared: int = 1
    dense_layers: int = 1
    scaling: float = 2.827
    eps: float = 1e-5
    theta: float = 50_000.0
    yarn: Yarn | None = None
    window: int = 32_768

    @property
    def qk(self) -> int:
        return self.nope + self.rope

    @property
    def softmax_scale(self) -> float:
        scale = self.qk**-0.5
        if self.yarn is None or self.yarn.mscale_all_dim == 0 or self.yarn.factor <= 1:
            return scale
        return scale * (0.1 * self.yarn.mscale_all_dim * math.log(self.yarn.factor) + 1) ** 2

    def is_dense(self, layer: int) -> bool:
        return layer < self.dense_layers

    def changed(self, **fields) -> ModelConfig:
        return replace(self, **fields)

    def to_json(self) -> dict:
        return asdict(self)

    @staticmethod
    def from_json(fields: dict) -> ModelConfig:
        yarn = fields.get("yarn")
        return ModelConfig(**{**fields, "yarn": Yarn(**yarn) if yarn else None})


def load_config(folder: Path) -> ModelConfig:
    """Reads config.json. Raises ValueError for what this forward pass cannot do."""
    raw = json.loads((folder / "config.json").read_text())
    for field, wanted in (("scoring_func", "sigmoid"), ("n_group", 1), ("norm_topk_prob", True), ("moe_layer_freq", 1)):
        met = raw.get(field, wanted)
        if met != wanted:
            raise ValueError(f"config.json: {field} is {met!r}, allowed: {wanted!r}")
    scaling = raw.get("rope_scaling")
    yarn = None
    if scaling is not None:
        if scaling.get("type", scaling.get("rope_type")) != "yarn":
            raise ValueError(f"config.json: rope_scaling.type is {scaling.get('type')!r}, allowed: 'yarn'")
        yarn = Yarn(
            factor=scaling["factor"],
            original=scaling["original_max_position_embeddings"],
            beta_fast=scaling.get("beta_fast", 32),
            beta_slow=scaling.get("beta_slow", 1),
            mscale=scaling.get("mscale", 1),
            mscale_all_dim=scaling.get("mscale_all_dim", 0),
        )
    return ModelConfig(
        vocab=raw["vocab_size"],
        hidden=raw["hidden_size"],
        layers=raw["num_hidden_layers"],
        heads=raw["num_attention_heads"],
        q_lora=raw.get("q_lora_rank"),
        latent=raw["kv_lora_rank"],
        rope=raw["qk_rope_head_dim"],
        nope=raw["qk_nope_head_dim"],
        value=raw["v_head_dim"],
        dense=raw["intermediate_size"],
        expert=raw["moe_intermediate_size"],
        experts=raw["n_routed_experts"],
        top_k=raw["num_experts_per_tok"],
        shared=raw["n_shared_experts"],
        dense_layers=raw["first_k_dense_replace"],
        scaling=raw["routed_scaling_factor"],
        eps=raw["rms_norm_eps"],
        theta=raw["rope_theta"],
        yarn=yarn,
        window=raw["max_position_embeddings"],
    )
