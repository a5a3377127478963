"""A state's weights to a file, and a state from one."""

from __future__ import annotations

from resnet_viz.lab import weights
from resnet_viz.lab.experiments.training import load_net, load_trainer, make_state
from resnet_viz.records import Lane, State


def save_weights(state: State) -> bytes:
    """A safetensors file of a state's weights and running statistics, by name; its settings go with them as JSON."""
    return weights.write_weights(load_net(state), state.settings)


def load_weights(path: str, lane: Lane, dataset: str, seed: int) -> State:
    """A state with a file’s weights. Raises `ConfigError` where they do not fit the lane's net."""
    state = make_state(lane, dataset, seed)
    trainer = load_trainer(state)
    weights.read_weights(trainer.module, path)
    return trainer.save(state, 0)
