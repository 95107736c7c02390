"""A state between two."""

import pytest
import torch

from training.blend import blend


def state(value: float, rows: int = 2) -> dict:
    weights = {"head": torch.full((rows, 3), value)}
    return {"network": weights, "average": dict(weights), "place": {"tokens": value}}


def test_weights_lie_between_and_the_rest_is_the_seconds():
    blended = blend(state(1.0), state(3.0), 0.75)
    assert torch.equal(blended["average"]["head"], torch.full((2, 3), 2.5))
    assert torch.equal(blended["network"]["head"], blended["average"]["head"])
    assert blended["place"] == {"tokens": 3.0}


def test_what_cannot_be_blended_is_refused():
    with pytest.raises(ValueError, match="share is 1.5, allowed: 0 to 1"):
        blend(state(1.0), state(3.0), 1.5)
    with pytest.raises(ValueError, match="only states of one network"):
        blend(state(1.0), state(3.0, rows=4), 0.5)
