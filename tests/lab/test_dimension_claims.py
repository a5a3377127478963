"""What is said of a shortcut with W_s in it, as nets that are trained here and may prove it wrong."""

import pytest
import torch

from resnet_viz.lab.experiments.training import advance, finish, make_state, measure
from resnet_viz.records import Lane, NetConfig

pytestmark = pytest.mark.slow
SEEDS = range(5)


def make_net(shortcut: str, **net: object) -> NetConfig:
    return NetConfig(**{"depth": 20, "shortcut": shortcut, "width": (24, 48)} | net)


@pytest.mark.parametrize("seed", SEEDS)
def test_w_s_everywhere_fails_where_identities_train(seed: int) -> None:
    """20 dense layers, no norm, default init, SGD. Measured, 32 → 64 wide, 200 steps: padded 0.97 to 0.98, W_s 0.10."""
    padded, everywhere = (finish(advance(make_state(Lane(make_net(way)), "digits", seed), 200)[0])
                          for way in ("zero-pad", "projection-all"))
    assert padded["train_accuracy"] > 0.9
    assert everywhere["train_accuracy"] < 0.2


@pytest.mark.parametrize("seed", SEEDS)
def test_an_identity_hands_the_gradient_on_and_w_s_shrinks_it(seed: int) -> None:
    """‖∂L/∂a‖, first layer over last, at step 0, default init. Measured: identity 0.7 to 0.8, W_s 3e-4 to 5e-4, plain
    6e-8; with BatchNorm all grow towards the input."""
    def compare(shortcut: str, norm: str) -> float:
        gradient = measure(make_state(Lane(make_net(shortcut, width=(32,), norm=norm)), "digits", seed)).gradient[0]
        return gradient[0] / gradient[-1]

    assert 0.3 < compare("identity", "none") < 3
    assert 1e-6 < compare("projection-all", "none") < 1e-2
    assert all(compare(shortcut, "batch") > 3 for shortcut in ("none", "identity", "projection-all"))


def test_a_same_convolution_fits_only_with_as_many_channels() -> None:
    a = torch.zeros(1, 8, 6, 6)
    same, more = (torch.nn.Conv2d(8, channels, 3, padding=1)(a) for channels in (8, 16))
    assert (same + a).shape == a.shape == (1, 8, *more.shape[2:])
    with pytest.raises(RuntimeError, match="must match"):
        more + a
