"""The chain rule by hand, for the lesson's own net, `NetConfig.by_hand`: dense, no normalisation, ReLU after the sum.

The same numbers as autograd through `nets.Net` (a test compares them), at less than half the time: on nets this small
autograd's bookkeeping costs more than the matrix products do. Every tensor is allocated once, and gradients are written
straight to their place in the flat gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from resnet_viz.lab.nets import Net, Trace
from resnet_viz.records import plan_blocks


class Linear:
    """z = W a + b with its gradients: views of the flat weights and of the flat gradient."""

    def __init__(self, layer: nn.Linear, gradients: dict[Tensor, Tensor]) -> None:
        self.weight, self.transposed = layer.weight.detach(), layer.weight.detach().t()
        self.weight_grad = gradients[layer.weight]
        self.bias = None if layer.bias is None else layer.bias.detach()
        self.bias_grad = None if layer.bias is None else gradients[layer.bias]

    def forward(self, a: Tensor, out: Tensor) -> None:
        if self.bias is None:
            torch.mm(a, self.transposed, out=out)
        else:
            torch.addmm(self.bias, a, self.transposed, out=out)

    def backward(self, dz: Tensor, a: Tensor) -> None:
        """∂L/∂W = dzᵀ a and ∂L/∂b = Σ dz."""
        torch.mm(dz.t(), a, out=self.weight_grad)
        if self.bias_grad is not None:
            torch.sum(dz, 0, out=self.bias_grad)


def relu_backward(da: Tensor, a: Tensor, out: Tensor) -> Tensor:
    """dz = da where a > 0, else 0."""
    return torch.ops.aten.threshold_backward.grad_input(da, a, 0, grad_input=out)


class HandWritten:
    """Forward and backward pass of one net on batches of one size.

    `gradients` maps each parameter of `module` to the view of the flat gradient that it is written to.
    """

    def __init__(self, module: Net, gradients: dict[Tensor, Tensor], batch: int) -> None:
        config, classes = module.config, module.data.classes
        self.plans = plan_blocks(config)
        self.batch, self.skips = batch, [block.skip for block in module.blocks]
        self.stem, self.head = (Linear(part.layer, gradients) for part in (module.stem, module.head))
        self.blocks = [(Linear(b.layer1, gradients), Linear(b.layer2, gradients)) for b in module.blocks]
        projected = [skip and plan.shortcut == "projection" for skip, plan in zip(self.skips, self.plans, strict=True)]
        self.w_s = [Linear(b.shortcut[0], gradients) if p else None
                    for b, p in zip(module.blocks, projected, strict=True)]
        widths = [self.plans[0].inputs] + [plan.outputs for plan in self.plans for _ in (1, 2)]
        self.trace = Trace(
            activations=[torch.empty(batch, width) for width in widths],
            branches=[torch.empty(batch, plan.outputs) for plan in self.plans],
            shortcuts=[torch.zeros(batch, plan.outputs) if skip else None
                       for skip, plan in zip(self.skips, self.plans, strict=True)],
            gradients=[torch.empty(batch, width) for width in widths],
            logits=torch.empty(batch, classes),
        )
        self.dz = {width: (torch.empty(batch, width), torch.empty(batch, width)) for width in set(widths)}

    @torch.no_grad()
    def run(self, x: Tensor, y: Tensor) -> tuple[Tensor, Trace]:
        """Mean cross-entropy of a batch x (B, *shape), y (B,); fills the gradients and the trace."""
        x = x.flatten(1)
        self.run_forward(x)
        log_p = torch.log_softmax(self.trace.logits, 1)
        loss = -log_p.gather(1, y[:, None]).mean()
        dz = log_p.exp_()  # ∂L/∂logits = (p - onehot) / B
        dz[torch.arange(len(y)), y] -= 1
        self.run_backward(x, dz.div_(len(y)))
        return loss, self.trace

    def run_forward(self, x: Tensor) -> None:
        a, trace = self.trace.activations, self.trace
        self.stem.forward(x, a[0])
        torch.relu_(a[0])
        for k, (first, second) in enumerate(self.blocks):
            before, inside, after = a[2 * k : 2 * k + 3]
            first.forward(before, inside)
            torch.relu_(inside)
            branch = trace.branches[k]
            second.forward(inside, branch)
            if self.skips[k]:
                torch.relu_(torch.add(branch, self.run_shortcut(k, before), out=after))
            else:
                torch.clamp_min(branch, 0, out=after)
        self.head.forward(a[-1], trace.logits)

    def run_shortcut(self, k: int, a: Tensor) -> Tensor:
        """s, kept in the trace: a[l] itself, W_s a[l], or a[l] and zeros (which are there from the start)."""
        shortcuts = self.trace.shortcuts
        if self.w_s[k] is not None:
            self.w_s[k].forward(a, shortcuts[k])
        elif self.plans[k].shortcut == "zero-pad":
            shortcuts[k][:, : self.plans[k].inputs] = a
        else:
            shortcuts[k] = a
        return shortcuts[k]

    def run_backward(self, x: Tensor, dz: Tensor) -> None:
        a, g = self.trace.activations, self.trace.gradients
        self.head.backward(dz, a[-1])
        torch.mm(dz, self.head.weight, out=g[-1])
        for k in reversed(range(len(self.blocks))):
            first, second = self.blocks[k]
            before, inside, after = 2 * k, 2 * k + 1, 2 * k + 2
            dz1, dz2 = self.dz[self.plans[k].outputs]
            relu_backward(g[after], a[after], dz2)
            second.backward(dz2, a[inside])
            torch.mm(dz2, second.weight, out=g[inside])
            relu_backward(g[inside], a[inside], dz1)
            first.backward(dz1, a[before])
            torch.mm(dz1, first.weight, out=g[before])
            if self.skips[k]:
                self.add_shortcut_gradient(k, dz2, a[before], g[before])
        relu_backward(g[0], a[0], self.dz[a[0].shape[1]][0])
        self.stem.backward(self.dz[a[0].shape[1]][0], x)

    def add_shortcut_gradient(self, k: int, dz2: Tensor, a: Tensor, g: Tensor) -> None:
        """∂L/∂a[l] has a second part, through the shortcut: dz[l+2] itself, W_sᵀ dz[l+2], or its first rows."""
        if self.w_s[k] is not None:
            self.w_s[k].backward(dz2, a)
            g += torch.mm(dz2, self.w_s[k].weight)  # not addmm_: autograd multiplies, then adds, and rounds as this does
        else:
            g += dz2[:, : self.plans[k].inputs]
