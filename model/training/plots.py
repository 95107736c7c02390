"""Curves of a run from its log: loss, largest attention logits, expert load, and the stratified metric.

    python -m training.plots LOG.jsonl OUT_FOLDER [--beside OTHER.jsonl]

`--beside` draws the largest logits of a second run, for one with and one without clipping.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot  # noqa: E402


def read_log(path: Path) -> tuple[list[dict], list[dict]]:
    """Steps and evaluations. What a restart did again replaces what was lost with the old process."""
    entries: list[dict] = []
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        # of a step its updates are logged before its evaluation
        least = entry["step"] + (entry["event"] == "eval")
        while entries and entries[-1]["step"] >= least:
            entries.pop()
        entries.append(entry)
    return [one for one in entries if one["event"] == "step"], [one for one in entries if one["event"] == "eval"]


def draw(
    folder: Path, name: str, title: str, curves: dict[str, tuple[list[float], list[float]]], y: str, log: bool = False
):
    figure, axes = pyplot.subplots(figsize=(7, 4))
    for label, (xs, ys) in curves.items():
        axes.plot(xs, ys, label=label, linewidth=1)
    axes.set(title=title, xlabel="million tokens", ylabel=y)
    if log:
        axes.set_yscale("log")
    if len(curves) > 1:
        axes.legend(fontsize=7)
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(folder / f"{name}.svg")
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    steps, evals = read_log(options.log)
    at = [one["tokens"] / 1e6 for one in steps]
    draw(
        options.out, "loss", "Loss of learned tokens", {"loss": (at, [one["loss"] for one in steps])}, "nats", log=True
    )
    logits = {f"layer {i}": (at, [one["max_logit"][i] for one in steps]) for i in range(len(steps[0]["max_logit"]))}
    if options.beside is not None:
        other, _ = read_log(options.beside)
        there = [one["tokens"] / 1e6 for one in other]
        logits = {"with clipping": (at, [max(one["max_logit"]) for one in steps])}
        logits["without"] = (there, [max(one["max_logit"]) for one in other])
    draw(options.out, "max-logit", "Largest attention logit", logits, "logit", log=True)
    load = {f"layer {i + 1}": (at, [one["load"][i] for one in steps]) for i in range(len(steps[0]["load"]))}
    draw(options.out, "expert-load", "Busiest expert over the mean", load, "ratio")
    strata = sorted({name for one in evals for name in one["report"]})
    metric = {
        name: (
            [one["tokens"] / 1e6 for one in evals if name in one["report"]],
            [one["report"][name]["value"] for one in evals if name in one["report"]],
        )
        for name in strata
        if not name.startswith("kind")
    }
    draw(options.out, "value", "Value found, by what could be confused", metric, "share")


if __name__ == "__main__":
    main()
