"""Trains by a recipe, from where it was left.

    python -m training.run RECIPE.json --state FOLDER --tokenizer tokenizer.json [--minutes N] [--ranks 2]

The folder holds `state.pt` (written every few minutes and at the end of each stage) and `log.jsonl`. Ending the
process loses at most what came after the last state; starting it again goes on.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.multiprocessing as processes

from .encoding import Tokenizer
from .evaluate import evaluate
from .head_loss import head_loss
from .hints import SHARE, copy_loss, hint_loss, hint_scores
from .initial import initialize
from .mixture import draw_samples
from .muonclip import MuonClip, balance
from .network import Network
from .packing import Batch, Sample
from .parallel import Ranks, join_ranks
from .prefetch import Batches
from .recipe import Recipe, Stage, load_recipe

SAVE_EVERY_S = 240


class Trainer:
    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        tokenizer_path: Path,
        device: str,
        workers: int = 0,
        compiled: bool = False,
        ranks: Ranks = Ranks(),
    ):
        self.recipe, self.folder, self.workers, self.ranks = recipe, folder, workers, ranks
        self.tokenizer_path, self.tokenizer = tokenizer_path, Tokenizer(tokenizer_path)
        self.device = torch.device(device)
        folder.mkdir(parents=True, exist_ok=True)
        self.network = Network(recipe.config)
        initialize(self.network, recipe.initial)
        self.network.to(self.device).train()
        for block in self.network.blocks:
            block.attention.track = True
        self.optimizer = MuonClip(self.network, recipe.rates, recipe.clip, ranks)
        self.parameters = dict(self.network.named_parameters())
        #: where the run stands: stage, tokens in it, samples drawn in it, steps and tokens of the whole run
        self.place = {"stage": 0, "stage_tokens": 0, "places": None, "step": 0, "tokens": 0, "seconds": 0.0}
        self.warm_from = 0
        #: mean of the weights over the last steps
        self.average = {name: one.detach().clone() for name, one in self.parameters.items()}
        self._load()
        if compiled:
            for block in self.network.blocks:
                block.compile(dynamic=False)

    def _load(self) -> None:
        path = self.folder / "state.pt"
        if not path.exists():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        self.network.load_state_dict(state["network"])
        # the state holds where the first process stood
        if len(state.get("rank_places", [None])) != self.ranks.total and state["place"]["places"] is not None:
            raise ValueError(
                f"{self.ranks.total} ranks, the state was left with {len(state['rank_places'])}: use the same number"
            )
        self.place = state["place"]
        if state["place"]["places"] is not None and self.ranks.total > 1:
            self.place["places"] = state["rank_places"][self.ranks.rank]
        for name, mean in self.average.items():
            mean.copy_(state.get("average", state["network"])[name])
        #: step from which the rates rise: moments that were left behind have to be gathered first
        self.warm_from = self.place["step"] if state["optimizer"] is None else 0
        if state["optimizer"] is not None:
            self.optimizer.load_state(state["optimizer"])

    def _clock(self) -> float:
        """Seconds: of the processor where it computes, so that other work on the machine does not count, else of the wall."""
        return time.process_time() if self.device.type == "cpu" else time.monotonic()

    def save(self) -> None:
        places = self.ranks.gather(self.place["places"])
        if not self.ranks.first:
            return
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state(),
            "place": self.place,
            "rank_places": places,
        }
        # whole or not at all: an interrupted write leaves the old state
        torch.save(state, self.folder / "state.part")
        os.replace(self.folder / "state.part", self.folder / "state.pt")

    def log(self, **entry) -> None:
        with (self.folder / "log.jsonl").open("a") as file:
            file.write(json.dumps({**self.place, **entry}) + "\n")

    def run(self, deadline: float | None) -> bool:
        """Goes on to the end of the recipe or to the deadline (monotonic seconds). True: the recipe is done."""
        while self.place["stage"] < len(self.recipe.stages):
            stage = self.recipe.stages[self.place["stage"]]
            if not self._run_stage(stage, deadline):
                self.save()
                return False
            self.place.update(stage=self.place["stage"] + 1, stage_tokens=0, places=None)
            self.save()
        return True

    def _run_stage(self, stage: Stage, deadline: float | None) -> bool:
        for experts in self.network.expert_layers():
            experts.quantize = stage.quantize
        self.network.config = self.recipe.config if stage.yarn else self.recipe.config.changed(yarn=None)
        batches = Batches(
            self.tokenizer_path,
            stage,
            self.recipe.seed * 1000 + self.place["stage"],
            self.workers,
            self.place["places"],
            self.ranks,
        )
        try:
            return self._learn(stage, batches, deadline)
        finally:
            batches.close()

    def _learn(self, stage: Stage, batches: Batches, deadline: float | None) -> bool:
        saved = time.monotonic()
        for batch in batches:
            started = self._clock()
            progress = self.place["stage_tokens"] / stage.tokens
            if progress >= 1:
                return True
            factor = stage.rate[0] + (stage.rate[1] - stage.rate[0]) * progress
            warm = min(1.0, (self.place["step"] - self.warm_from + 1) / self.recipe.warm_up)
            self._step(batch, factor * warm, started)
            self.place["places"] = list(batches.places)
            if self.place["step"] % self.recipe.eval_every == 0:
                if self.ranks.any(self.ranks.first and self._evaluate(stage)):
                    return True
            now = time.monotonic()
            if self.ranks.any(self.ranks.first and now - saved > SAVE_EVERY_S):
                self.save()
                saved = now
            if self.ranks.any(deadline is not None and now > deadline):
                return False
        raise RuntimeError(f"stage {stage.name}: the samples ended")

    def _step(self, batch: Batch, factor: float, started: float) -> None:
        batch = batch.to(self.device)
        loss = self._loss(batch)
        self.optimizer.zero_grad()
        loss.backward()
        self.ranks.mean_gradients(list(self.parameters.values()))
        logits = self.optimizer.step(factor)
        load = balance(self.network, self.recipe.balance_step, self.ranks)
        tokens = self.ranks.total_of(batch.tokens)
        self._follow()
        self.place["step"] += 1
        self.place["tokens"] += tokens
        self.place["stage_tokens"] += tokens
        self.place["seconds"] += self._clock() - started
        if self.place["step"] % 10 == 0 and self.ranks.first:
            self.log(
                event="step",
                loss=round(self.words_loss, 4),
                hints=[[round(part, 3) for part in one] for one in self.hint_scores],
                rate=round(factor, 4),
                max_logit=[round(one, 1) for one in logits.tolist()],
                load=[round(one, 2) for one in load.tolist()],
                speed=round(tokens / (self._clock() - started)),
            )

    def _loss(self, batch: Batch) -> torch.Tensor:
        """Mean over the tokens that are learned."""
        seen: list[torch.Tensor] = []
        if self.recipe.hints:
            self.network.watched = []
            self.network.blocks[-1].attention.watch_keys = lambda q, k: seen.extend((q, k))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            found = self.network.read(batch.ids, batch.positions, batch.visible, batch.wanted)
        weights = batch.weights.flatten()[batch.wanted]
        loss = head_loss(found, self.network.head, batch.targets.flatten()[batch.wanted], weights)
        self.words_loss, self.hint_scores = loss.item(), []
        if self.recipe.hints:
            states, self.network.watched = self.network.watched, None
            self.network.blocks[-1].attention.watch_keys = None
            copying, share = copy_loss(*seen, batch.sources, batch.questions, self.recipe.config.softmax_scale)
            loss = loss + SHARE * (hint_loss(states, batch.tags, batch.questions) + copying)
            if (self.place["step"] + 1) % 10 == 0:
                self.hint_scores = [*hint_scores(states, batch.tags), (share,)]
        return loss

    @torch.no_grad()
    def _follow(self) -> None:
        """The mean of the weights takes a step; at first the mean of all steps."""
        share = min(self.recipe.average, 1 - 1 / (self.place["step"] - self.warm_from + 1))
        for name, mean in self.average.items():
            mean.lerp_(self.parameters[name], 1 - share)

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The mean of the weights in place of the weights."""
        kept = {name: one.detach().clone() for name, one in self.parameters.items()}
        with torch.no_grad():
            for name, one in self.parameters.items():
                one.copy_(self.average[name])
            yield
            for name, one in self.parameters.items():
                one.copy_(kept[name])

    def _held_out(self, stage: Stage) -> list[Sample]:
        samples = draw_samples(self.tokenizer, stage.sources, 77_777, held_out=True)
        chosen, questions = [], 0
        for _, sample in itertools.islice(samples, 4 * self.recipe.eval_questions):
            if sample.tokens <= stage.length:
                chosen.append(sample)
                questions += len(sample.branches)
            if questions >= self.recipe.eval_questions:
                break
        return chosen

    def _evaluate(self, stage: Stage) -> bool:
        with self._averaged():
            report = evaluate(self.network, self._held_out(stage), stage.length)
        self.log(event="eval", stage_name=stage.name, report=report)
        hard = report.get("same attribute, other entity", report["all"])
        print(
            f"{self.place['step']:6} {self.place['tokens'] / 1e6:7.2f}M {self.place['seconds'] / 60:6.1f} min "
            f"{stage.name}: value {hard['value']:.3f} exact {hard['exact']:.3f} (guess {hard['guess_by_attribute']:.3f}) "
            f"of {hard['count']}",
            flush=True,
        )
        return stage.promote is not None and hard["value"] >= stage.promote


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="stop, with the state saved, after so many")
    parser.add_argument("--workers", type=int, default=0, help="processes that make batches")
    parser.add_argument("--compile", action="store_true", help="compile the blocks: worth it on a GPU")
    parser.add_argument(
        "--ranks", type=int, default=1, help="processes that train one network, each on its own samples"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    deadline = None if options.minutes is None else time.monotonic() + options.minutes * 60
    if options.ranks == 1:
        _train(0, options, None, deadline)
        return
    with tempfile.TemporaryDirectory() as folder:
        processes.spawn(_train, (options, Path(folder) / "meeting", deadline), options.ranks)


def _train(rank: int, options: argparse.Namespace, meeting: Path | None, deadline: float | None) -> None:
    with join_ranks(rank, options.ranks, meeting) as ranks:
        if options.device == "cpu" and ranks.total > 1:
            torch.set_num_threads(1)
        trainer = Trainer(
            load_recipe(options.recipe),
            options.state,
            options.tokenizer,
            options.device,
            options.workers,
            options.compile,
            ranks,
        )
        done = trainer.run(deadline)
        if ranks.first:
            print("done" if done else "stopped, state saved")


if __name__ == "__main__":
    main()
