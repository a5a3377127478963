"""Training: one step after another, from a state and to one. It knows nothing of measuring."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from resnet_viz.lab.dense import HandWritten
from resnet_viz.lab.nets import Net, Trace, build_net
from resnet_viz.records import DATASETS, Lane, State, TrainConfig

MOMENTS = {"sgd": ("momentum_buffer",), "adamw": ("exp_avg", "exp_avg_sq")}


def set_up_process() -> None:
    """One thread, so results are the same to the bit and lanes share fairly; denormals, which are slow, flushed to 0."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


class Trainer:
    """A net, its optimizer and flat vectors for both, reused from slice to slice; `load` and `save` move states.

    All parameters are views of one flat vector and all gradients of another, so the optimizer has one tensor to update
    and a state is one copy.
    """

    def __init__(self, lane: Lane, dataset: str) -> None:
        self.lane, self.dataset = lane, dataset
        self.module = build_net(lane.net, DATASETS[dataset])
        parameters = list(self.module.parameters())
        self.weights = torch.nn.Parameter(torch.zeros(sum(p.numel() for p in parameters)))
        self.weights.grad = torch.zeros_like(self.weights)
        self.gradients = dict(zip(parameters, split_flat(self.weights.grad, parameters), strict=True))
        set_views(parameters, self.weights.detach())
        buffers = [buffer for buffer in self.module.buffers() if buffer.is_floating_point()]
        self.buffers = torch.zeros(sum(buffer.numel() for buffer in buffers))
        set_views(buffers, self.buffers)
        self.optimizer = make_optimizer(lane, self.weights)
        plain = lane.train.weight_decay == 0 or lane.train.decays_plainly
        self.decaying = None if plain else flatten_mask(self.module, lane.train)
        self.hand_written = None
        if lane.net.by_hand:
            self.hand_written = HandWritten(self.module, self.gradients, lane.train.batch_size)

    def load(self, state: State) -> None:
        self.weights.detach().copy_(torch.from_numpy(state.weights))
        self.buffers.copy_(torch.from_numpy(state.buffers))
        moments = [torch.from_numpy(row.copy()) for row in state.moments]
        self.optimizer.state[self.weights] = dict(zip(MOMENTS[self.lane.train.optimizer], moments, strict=True))
        if self.lane.train.optimizer == "adamw":
            self.optimizer.state[self.weights]["step"] = torch.tensor(float(state.step))

    def save(self, state: State, steps: int) -> State:
        """The state `steps` after `state`, holding copies of what was trained."""
        moments = self.optimizer.state[self.weights]
        return dataclasses.replace(
            state,
            step=state.step + steps,
            weights=self.weights.detach().numpy().copy(),
            buffers=self.buffers.numpy().copy(),
            moments=np.stack([moments[name].numpy() for name in MOMENTS[self.lane.train.optimizer]]),
        )

    def run_passes(self, x: Tensor, y: Tensor) -> tuple[Tensor, Trace]:
        """Forward and backward pass of a batch: the mean loss, and the trace; the flat gradient is filled."""
        if self.hand_written is not None:
            return self.hand_written.run(x, y)
        trace = Trace()
        loss = F.cross_entropy(self.module(x, trace), y)
        wanted = list(self.gradients)
        found = torch.autograd.grad(loss, wanted + trace.activations, allow_unused=True)
        for view, gradient in zip(self.gradients.values(), found, strict=False):
            view.zero_() if gradient is None else view.copy_(gradient)
        trace.gradients = list(found[len(wanted) :])
        return loss.detach(), trace

    def is_finite(self) -> bool:
        """Whether the gradients, their squares (which AdamW keeps) and the running statistics are finite."""
        gradient = self.weights.grad
        return bool(torch.dot(gradient, gradient).isfinite() and self.buffers.isfinite().all())

    @torch.no_grad()
    def update(self) -> None:
        """One step of the optimizer; where not all decays its own way, the decay is made here, before it."""
        if self.decaying is not None:
            train, weights = self.lane.train, self.weights.detach()
            if train.couples_decay:
                self.weights.grad.addcmul_(weights, self.decaying, value=train.weight_decay)
            else:
                weights.addcmul_(weights, self.decaying, value=-train.lr * train.weight_decay)
        self.optimizer.step()


def make_optimizer(lane: Lane, weights: torch.nn.Parameter) -> torch.optim.Optimizer:
    train = lane.train
    decay = train.weight_decay if train.decays_plainly else 0.0
    if train.optimizer == "adamw":
        return torch.optim.AdamW([weights], lr=train.lr, weight_decay=decay, fused=True)
    return torch.optim.SGD([weights], lr=train.lr, momentum=train.momentum, weight_decay=decay, fused=True)


def flatten_mask(module: Net, train: TrainConfig) -> Tensor:
    """1 for the parameters that decay, 0 for the others: (P,), in the order of the flat weights."""
    prefix = "" if train.decay_block is None else f"blocks.{train.decay_block}."
    chosen = [name.startswith(prefix) and not (prefix and ".shortcut." in name)
              and (train.decay_bias or not name.endswith("bias")) for name, _ in module.named_parameters()]
    return torch.cat([torch.full((p.numel(),), float(c)) for p, c in zip(module.parameters(), chosen, strict=True)])


def split_flat(flat: Tensor, like: list[Tensor]) -> list[Tensor]:
    """Views of a flat vector in the shapes of `like`."""
    parts = flat.split([t.numel() for t in like]) if like else []
    return [part.view(t.shape) for part, t in zip(parts, like, strict=True)]


def set_views(tensors: list[Tensor], flat: Tensor) -> None:
    """Make the tensors views of a flat vector."""
    for tensor, view in zip(tensors, split_flat(flat, tensors), strict=True):
        tensor.data = view


def flatten(tensors: list[Tensor]) -> np.ndarray:
    """One float32 vector of all the tensors."""
    return torch.cat([t.detach().reshape(-1) for t in tensors]).numpy() if tensors else np.zeros(0, np.float32)


@functools.lru_cache(maxsize=16)
def get_trainer(lane: Lane, dataset: str) -> Trainer:
    """The trainer of a lane's configuration, kept from slice to slice. Its contents are always loaded afresh."""
    return Trainer(lane, dataset)
