"""Weights in small files, for machines that give back only so much: bfloat16, in parts of at most 15 MiB.

    python -m training.portable split STATE.pt FOLDER
    python -m training.portable join FOLDER STATE.pt

Moments of the optimizer stay behind; a run taken up from parts warms up again.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .checkpoint_files import averaged

PART_BYTES = 15 * 2**20


def split(state: dict, folder: Path) -> list[Path]:
    """Writes `place.json` and `weights-N.safetensors`. Selection biases keep float32."""
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[dict[str, torch.Tensor]] = [{}]
    used = 0
    for name, tensor in averaged(state).items():
        stored = tensor.cpu().contiguous() if name.endswith("bias") else tensor.cpu().to(torch.bfloat16).contiguous()
        size = stored.numel() * stored.element_size()
        if used + size > PART_BYTES and parts[-1]:
            parts.append({})
            used = 0
        parts[-1][name] = stored
        used += size
    paths = []
    for index, part in enumerate(parts):
        paths.append(folder / f"weights-{index}.safetensors")
        save_file(part, paths[-1])
    (folder / "place.json").write_text(json.dumps({"place": state["place"], "parts": len(parts)}) + "\n")
    return paths


def join(folder: Path) -> dict:
    """A state without moments. Raises FileNotFoundError when a part is missing."""
    described = json.loads((folder / "place.json").read_text())
    network: dict[str, torch.Tensor] = {}
    for index in range(described["parts"]):
        network.update(
            {name: tensor.float() for name, tensor in load_file(folder / f"weights-{index}.safetensors").items()}
        )
    return {"network": network, "optimizer": None, "place": described["place"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("way", choices=("split", "join"))
    parser.add_argument("source", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    if options.way == "split":
        for path in split(torch.load(options.source, map_location="cpu", weights_only=True), options.out):
            print(path, path.stat().st_size)
    else:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        torch.save(join(options.source), options.out)


if __name__ == "__main__":
    main()
