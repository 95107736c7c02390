"""Two processes train one network: the same weights in both, from the gradients of both, and a run can be taken up."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as processes
from torch import nn

from training.muonclip import orthogonalize, orthogonalize_shared
from training.parallel import Ranks, join_ranks

from .test_run import RECIPE, TOKENIZER

MODEL = Path(__file__).resolve().parents[2]


def _exchange(rank: int, meeting: Path, out: Path) -> None:
    with join_ranks(rank, 2, meeting) as ranks:
        # of the second parameter only one process has a gradient
        both, one = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(4))
        both.grad = torch.full((2, 3), float(rank + 1))
        if rank == 1:
            one.grad = torch.ones(4)
        ranks.mean_gradients([both, one])
        largest = torch.tensor([1.0, -1.0]) * (rank + 1)
        ranks.largest(largest)
        said = {
            "both": both.grad.tolist(),
            "one": one.grad.tolist(),
            "largest": largest.tolist(),
            "total": ranks.total_of(10 + rank),
            "any": [ranks.any(rank == 1), ranks.any(False)],
            "gathered": ranks.gather(f"from {rank}"),
        }
    (out / f"{rank}.json").write_text(json.dumps(said))


def test_what_processes_exchange(tmp_path):
    processes.spawn(_exchange, (tmp_path / "meeting", tmp_path), 2)
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert first == second
    assert first == {
        "both": [[1.5] * 3] * 2,
        "one": [0.5] * 4,
        "largest": [2.0, -1.0],
        "total": 21,
        "any": [True, False],
        "gathered": ["from 0", "from 1"],
    }


def test_one_process_exchanges_nothing():
    alone = Ranks()
    assert alone.first and alone.total_of(7) == 7 and alone.any(True) and not alone.any(False)
    assert alone.gather("x") == ["x"]


def _run(folder: Path, recipe: Path, *more: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "training.run", recipe, "--state", folder, "--tokenizer", TOKENIZER, "--device", "cpu", *more],
        cwd=MODEL,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_run_of_two_is_left_and_taken_up_by_two_only(tmp_path):
    recipe = tmp_path / "recipe.json"
    short = {**RECIPE, "stages": [{**RECIPE["stages"][0], "tokens": 6_000}]}
    recipe.write_text(json.dumps(short))
    left = _run(tmp_path / "state", recipe, "--ranks", "2", "--minutes", "0")
    assert "stopped, state saved" in left.stdout, left.stderr
    state = torch.load(tmp_path / "state" / "state.pt", weights_only=True)
    # each reads its own samples: one the even, one the odd
    assert [places[0] % 2 for places in state["rank_places"]] == [0, 1]
    alone = _run(tmp_path / "state", recipe)
    assert alone.returncode != 0 and "1 ranks, the state was left with 2" in alone.stderr
    done = _run(tmp_path / "state", recipe, "--ranks", "2")
    assert "done" in done.stdout, done.stderr
    after = torch.load(tmp_path / "state" / "state.pt", weights_only=True)
    assert after["place"]["tokens"] >= 6_000 and after["place"]["step"] > state["place"]["step"]


@pytest.mark.parametrize("total", [1, 4, 5])
def test_processes_share_what_is_made_orthogonal(total):
    class Lonely(Ranks):
        """Leaves out what the other process adds."""

        def sum(self, tensor):
            pass

    updates = torch.randn(total, 6, 9, generator=torch.Generator().manual_seed(1))
    parts = [orthogonalize_shared(updates, Lonely(rank, 2)) for rank in range(2)]
    whole = orthogonalize(updates)
    assert torch.allclose(sum(parts), whole, atol=1e-2)
    assert torch.equal(orthogonalize_shared(updates, Ranks()), whole)


def test_what_is_exported_is_the_mean_of_the_weights(tmp_path):
    from training.checkpoint_files import averaged
    from training.recipe import parse_recipe
    from training.run import Trainer

    trainer = Trainer(parse_recipe({**RECIPE, "average": 0.5}), tmp_path, TOKENIZER, "cpu")
    steps = []
    for _ in range(3):
        assert trainer.run(0.0) is False
        steps.append(trainer.network.head.detach().clone())
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    mean = trainer.average["head"]
    assert torch.equal(averaged(state)["head"], mean)
    assert not torch.equal(mean, steps[-1])
    assert (mean - steps[-1]).norm() < (steps[0] - steps[-1]).norm()
    with trainer._averaged():
        assert torch.equal(trainer.network.head, mean)
    assert torch.equal(trainer.network.head, steps[-1])
