"""A run that is left and taken up is the run that was never left."""

import json
from pathlib import Path

import pytest
import torch

from training.plots import read_log
from training.portable import join, split
from training.prefetch import Batches
from training.recipe import parse_recipe
from training.run import Trainer

TOKENIZER = Path(__file__).resolve().parents[2] / "quire-nano" / "tokenizer.json"
RECIPE = {
    "name": "small",
    "config": {
        "vocab": 4096,
        "hidden": 64,
        "layers": 2,
        "heads": 2,
        "q_lora": 64,
        "latent": 96,
        "rope": 16,
        "nope": 16,
        "value": 16,
        "dense": 64,
        "expert": 32,
        "experts": 4,
        "top_k": 2,
    },
    "initial": {"look_back": 1, "match_heads": 1},
    "warm_up": 3,
    "eval_every": 4,
    "eval_questions": 6,
    "stages": [
        {
            "name": "first",
            "tokens": 4_000,
            "rows": 1,
            "length": 640,
            "sources": [{"kind": "register", "share": 1, "form": {"questions": 2}}],
        },
        {
            "name": "second",
            "tokens": 2_000,
            "rows": 1,
            "length": 768,
            "rate": [1.0, 0.0],
            "quantize": True,
            "sources": [{"kind": "report", "share": 1, "form": {"chars": [200, 400], "questions": 1, "system": 0.0}}],
        },
    ],
}


def trained(folder, recipe=RECIPE, pauses=0):
    trainer = Trainer(parse_recipe(recipe), folder, TOKENIZER, "cpu")
    for _ in range(pauses):
        # a deadline that has passed: one step, then the state is saved
        assert trainer.run(0.0) is False
        trainer = Trainer(parse_recipe(recipe), folder, TOKENIZER, "cpu")
    assert trainer.run(None) is True
    return trainer


def test_it_learns_goes_through_its_stages_and_logs(tmp_path):
    trainer = trained(tmp_path)
    assert trainer.place["stage"] == 2 and trainer.place["tokens"] >= 6_000
    entries = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {entry["event"] for entry in entries} >= {"eval"}
    report = next(entry for entry in entries if entry["event"] == "eval")["report"]
    assert 0 <= report["all"]["value"] <= 1 and report["all"]["guess_by_attribute"] > 0
    assert trainer.network.blocks[1].mlp.quantize is True


def test_a_run_taken_up_goes_on_with_the_samples_that_follow(tmp_path):
    whole, parts = trained(tmp_path / "whole"), trained(tmp_path / "parts", pauses=3)
    assert parts.place["stage"] == whole.place["stage"]
    assert (tmp_path / "parts" / "state.pt").exists()
    state = torch.load(tmp_path / "parts" / "state.pt", weights_only=True)
    assert state["place"]["step"] == parts.place["step"]
    for name, value in parts.network.state_dict().items():
        assert torch.equal(value, state["network"][name])


def test_weights_travel_in_parts(tmp_path, monkeypatch):
    trainer = Trainer(parse_recipe(RECIPE), tmp_path / "here", TOKENIZER, "cpu")
    assert trainer.run(0.0) is False
    monkeypatch.setattr("training.portable.PART_BYTES", 300_000)
    paths = split(torch.load(tmp_path / "here" / "state.pt", weights_only=True), tmp_path / "parts")
    assert len(paths) > 2
    (tmp_path / "there").mkdir()
    torch.save(join(tmp_path / "parts"), tmp_path / "there" / "state.pt")
    there = Trainer(parse_recipe(RECIPE), tmp_path / "there", TOKENIZER, "cpu")
    assert there.place["step"] == trainer.place["step"] and there.warm_from == trainer.place["step"]
    for name, value in there.network.state_dict().items():
        assert torch.allclose(value, trainer.network.state_dict()[name], rtol=1e-2, atol=1e-6)
    assert there.run(0.0) is False
    assert there.place["step"] == trainer.place["step"] + 1


def test_batches_are_the_same_from_workers_and_after_a_restart(tmp_path):
    stage = parse_recipe(RECIPE).stages[0]
    plain = Batches(TOKENIZER, stage, 1, 0, None)
    first = [next(iter(plain)) for _ in range(3)]
    worker = Batches(TOKENIZER, stage, 1, 1, None)
    try:
        taken = iter(worker)
        for batch in first:
            assert torch.equal(batch.ids, next(taken).ids)
        assert worker.places == plain.places
    finally:
        worker.close()


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(ValueError, match="unknown lenght, allowed: .*length"):
        parse_recipe({**RECIPE, "stages": [{**RECIPE["stages"][0], "lenght": 3}]})
    broken = {**RECIPE["stages"][0], "sources": [{"kind": "register", "share": 1, "form": {"entites": [2, 3]}}]}
    with pytest.raises(ValueError, match="unknown entites"):
        next(iter(Batches(TOKENIZER, parse_recipe({**RECIPE, "stages": [broken]}).stages[0], 1, 0, None)))


def test_curves_leave_out_what_a_restart_did_again(tmp_path):
    steps = [(10, "step"), (20, "step"), (30, "eval"), (20, "step"), (30, "step")]
    log = tmp_path / "log.jsonl"
    log.write_text("".join(json.dumps({"step": step, "event": event}) + "\n" for step, event in steps))
    taken, evaluated = read_log(log)
    assert [one["step"] for one in taken] == [10, 20, 30] and evaluated == []
