"""The loss on a plane through a net's weights: θ + x·d1 + y·d2. Li et al. 2018 (arXiv 1712.09913).

A grid of losses is many evaluations of one net whose weights move along two fixed directions. BatchNorm stays where
it is, so a layer with its BatchNorm folded in is a matrix and a bias that are linear in (x, y): they are laid out three
times, and a point of the grid is two additions. Examples lie in the last axis, and pictures as rows of pixels: then a
convolution is one product of a matrix with three rows at once, which overlap in memory and are copied nowhere.
A slice that looks convex proves nothing: it is two directions of many thousands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from resnet_viz.lab.batches import check
from resnet_viz.lab.nets import Net

CHUNK = {"dense": 720, "conv": 480}  # examples at once: what stays in a core's cache, measured


# ---------------------------------------------------------------------------------------------------- the plane


def make_directions(module: Net, seed: int) -> np.ndarray:
    """Two random directions, filter by filter as long as the weights: (2, P) float32, in the order of the parameters.

    Each filter d ← d·‖w‖/(‖d‖ + 1e-10), of a dense layer each row of W; 0 for biases, γ and β. Li et al. 2018, section 4.
    The draw depends on the seed and the parameters' shapes alone, so that twins are given the same.
    """
    generator, rows = torch.Generator().manual_seed(seed), []
    for _ in range(2):
        parts = []
        for parameter in module.parameters():
            weight = parameter.detach().flatten(1) if parameter.dim() > 1 else None
            if weight is None:
                parts.append(torch.zeros(parameter.numel()))
                continue
            draw = torch.randn(weight.shape, generator=generator)
            parts.append((draw * (weight.norm(dim=1) / (draw.norm(dim=1) + 1e-10))[:, None]).flatten())
        rows.append(torch.cat(parts))
    return torch.stack(rows).numpy()


def list_norms(module: Net) -> np.ndarray:
    """Which parameters are BatchNorm's γ and β: (P,) bool, in the order of the parameters."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d)
    found = {id(p) for part in module.modules() if isinstance(part, kinds) for p in part.parameters()}
    return np.concatenate([np.full(p.numel(), id(p) in found) for p in module.parameters()])


def find_principal_directions(weights: Sequence[np.ndarray], still: np.ndarray) -> np.ndarray:
    """The two directions in which a trajectory of weights (n of (P,)) moves most about its last: (2, P), orthonormal.

    Li et al. 2018, section 7.2: PCA of θ_i - θ_n, not centred. The directions are 0 where `still` (P,) is true, and a
    direction that the trajectory does not have is 0 all over.
    """
    steps = np.stack(weights).astype(np.float64) - np.asarray(weights[-1], np.float64)
    steps[:, still] = 0
    result = np.zeros((2, len(weights[-1])))
    _, lengths, found = np.linalg.svd(steps, full_matrices=False)
    kept = min(2, int((lengths > 1e-12 * max(lengths.max(initial=0.0), 1e-300)).sum()))
    result[:kept] = found[:kept]
    return result


def project(weights: Sequence[np.ndarray], directions: np.ndarray) -> tuple[np.ndarray, float]:
    """Where weights (n of (P,)) lie on the plane about the last of them: (n, 2), and the explained share.

    The coordinates of the nearest point of the plane, by least squares, since random directions are not quite orthogonal.
    The share is 1 - Σ‖what is off the plane‖² / Σ‖θ_i - θ_n‖², from 0 to 1; NaN where nothing has moved.
    """
    steps = np.stack(weights).astype(np.float64) - np.asarray(weights[-1], np.float64)
    plane = np.asarray(directions, np.float64)
    points = steps @ np.linalg.pinv(plane)
    total = np.square(steps).sum()
    share = float(1 - np.square(steps - points @ plane).sum() / total) if total > 0 else float("nan")
    return points, share


# ---------------------------------------------------------------------------------------------------- the plain loop


@torch.inference_mode()
def measure_point(module: Net, weights: Tensor, x: Tensor, y: Tensor, statistics: str = "stored") -> float:
    """The mean cross-entropy on (x, y) with the flat `weights` (P,), by the module itself. The module keeps them."""
    parameters = list(module.parameters())
    for parameter, part in zip(parameters, weights.split([p.numel() for p in parameters]), strict=True):
        parameter.copy_(part.view_as(parameter))
    training = module.training
    logits = module.train(statistics == "batch")(x)
    module.train(training)
    return F.cross_entropy(logits.double(), y).item()  # in single precision a loss near 0 is all rounding


def measure_rows_plainly(module: Net, directions: np.ndarray, xs: Sequence[float], ys: Sequence[float], x: Tensor,
                         y: Tensor, statistics: str = "stored") -> np.ndarray:
    """As `measure_rows`, by the plain double loop: set the weights, evaluate the module, repeat."""
    center = torch.cat([p.detach().flatten() for p in module.parameters()]).clone()
    d1, d2 = torch.from_numpy(np.asarray(directions, np.float32))
    result = np.zeros((len(ys), len(xs)))
    for i, v in enumerate(ys):
        for j, u in enumerate(xs):
            check()
            result[i, j] = measure_point(module, center + u * d1 + v * d2, x, y, statistics)
    measure_point(module, center, x[:2], y[:2])
    return result


# ---------------------------------------------------------------------------------------------------- the fast way


def measure_rows(module: Net, directions: np.ndarray, xs: Sequence[float], ys: Sequence[float], x: Tensor, y: Tensor,
                 statistics: str = "stored") -> np.ndarray:
    """Mean cross-entropy on (x, y) at θ + xs[j]·d1 + ys[i]·d2: (len(ys), len(xs)) float64.

    `statistics`: BatchNorm normalises with its "stored" running statistics, or those of the "batch", all of x. The
    latter goes the plain way, as do `directions` (2, P) that move γ or β.
    """
    bent = bool(np.any(np.asarray(directions)[:, list_norms(module)]))
    if bent or (statistics == "batch" and module.config.norm == "batch"):
        return measure_rows_plainly(module, directions, xs, ys, x, y, statistics)
    plane = _Plane(module, directions, x, y)
    return np.array([[plane.measure(u, v) for u in xs] for v in ys]).reshape(len(ys), len(xs))


Pack = dict[Tensor, Tensor]  # flat values of each parameter


@dataclass
class _Product:
    """A layer as a matrix on `band` rows of pixels at once: z = matrix · rows + bias, for every `stride`-th row."""

    matrix: Tensor  # (outputs·width', band·inputs·width)
    bias: Tensor  # (outputs·width', 1)
    band: int
    stride: int


class _Plane:
    """A net laid out over a plane of its weights, in evaluation mode, and the examples it is evaluated on.

    An activation is (height + 2, channels·width, n) for n examples: a row of zeros above and below, and (1, features, n)
    of a dense net.
    """

    @torch.inference_mode()
    def __init__(self, module: Net, directions: np.ndarray, x: Tensor, y: Tensor) -> None:
        self.module, self.conv = module, module.config.family == "conv"
        self.g = torch.relu_ if module.config.activation == "relu" else torch.tanh_
        parameters = list(module.parameters())
        center = torch.cat([p.detach().flatten() for p in parameters])
        flats = [center, *torch.from_numpy(np.asarray(directions, np.float32))]
        packs = [dict(zip(parameters, flat.split([p.numel() for p in parameters]), strict=True)) for flat in flats]
        layouts = [list(self._lay_out(pack, x.shape[1:], pack is packs[0])) for pack in packs]
        self.corners = [torch.cat([part.flatten() for item in layout for part in (item.matrix, item.bias)])
                        for layout in layouts]
        self.now = torch.empty_like(self.corners[0])
        shapes = [part.shape for item in layouts[0] for part in (item.matrix, item.bias)]
        views = [view.view(shape) for view, shape in zip(self.now.split([rows * columns for rows, columns in shapes]),
                                                         shapes, strict=True)]
        self.products = [_Product(matrix, bias, item.band, item.stride)
                         for matrix, bias, item in zip(views[::2], views[1::2], layouts[0], strict=True)]
        self.chunks = [(self._arrange(part), labels) for part, labels in
                       zip(x.split(CHUNK[module.config.family]), y.split(CHUNK[module.config.family]), strict=True)]
        self.buffers: dict[tuple, Tensor] = {}
        self.count = len(y)

    def _lay_out(self, pack: Pack, shape: Sequence[int], whole: bool) -> Iterator[_Product]:
        """The net's layers as matrices, as they run, with the weights of `pack`; `whole` says that it is no direction."""
        width = shape[-1] if self.conv else 1
        stem, head, pre = self.module.stem, self.module.head, self.module.config.order == "pre"
        yield _make_product(pack, whole, stem.layer, stem.norm, width)
        for block in self.module.blocks:
            yield _make_product(pack, whole, block.layer1, block.norm2 if pre else block.norm1, width)
            after = -(-width // block.layer1.stride[0]) if self.conv else 1
            if block.skip and isinstance(block.shortcut, nn.Sequential):
                yield _make_product(pack, whole, *block.shortcut, width)
            yield _make_product(pack, whole, block.layer2, nn.Identity() if pre else block.norm2, after)
            width = after
        yield _make_product(pack, whole, head.layer, nn.Identity(), 1)

    def _arrange(self, x: Tensor) -> Tensor:
        if not self.conv:
            return x.flatten(1).t().contiguous()[None]
        rows = x.permute(2, 1, 3, 0).flatten(1, 2)  # (height, channels·width, n)
        return F.pad(rows, (0, 0, 0, 0, 1, 1)).contiguous()

    def _take(self, role: str, height: int, features: int, n: int) -> Tensor:
        """A buffer; its rows of zeros stay zeros."""
        key = role, height, features, n
        if key not in self.buffers:
            self.buffers[key] = torch.zeros(height + 2 * self.conv, features, n)
        return self.buffers[key]

    def _inner(self, a: Tensor) -> Tensor:
        return a[1:-1] if self.conv else a

    def _run(self, product: _Product, a: Tensor, out: Tensor, add: bool = False) -> Tensor:
        """z of one layer into the inner rows of `out`, or added to them; these."""
        inner, beta = self._inner(out), 1 if add else 0
        if not self.conv:
            inner[0].addmm_(product.matrix, a[0], beta=beta)
            return inner.add_(product.bias)
        height, (_, features, n) = len(inner), a.shape
        first = 0 if product.band == 3 else features * n  # a 1x1 convolution skips the row of zeros
        size, step = (height, product.band * features, n), (product.stride * features * n, n, 1)
        inner.baddbmm_(product.matrix.expand(height, -1, -1), a.as_strided(size, step, first), beta=beta)
        return inner.add_(product.bias)

    @torch.inference_mode()
    def measure(self, u: float, v: float) -> float:
        """The mean loss at θ + u·d1 + v·d2."""
        torch.add(self.corners[0], self.corners[1], alpha=float(u), out=self.now).add_(self.corners[2], alpha=float(v))
        return sum(self._run_net(x, y) for x, y in self.chunks) / self.count

    def _run_net(self, x: Tensor, y: Tensor) -> float:
        """The summed loss of one chunk."""
        products, pre, n = iter(self.products), self.module.config.order == "pre", x.shape[-1]
        stem = next(products)
        a = self._take("a", len(self._inner(x)), len(stem.bias), n)
        z = self._run(stem, x, a)
        if not pre:
            self.g(z)
        for block in self.module.blocks:
            a = self._run_block(block, products, a)
        last, head = self._inner(a), self.module.head
        if pre:
            last = self.g(_normalise(last, head.norm, torch.empty_like(last)))
        final = next(products)
        last = last.unflatten(1, (-1, last.shape[1] // final.matrix.shape[1])).mean((0, 2))  # (channels, n)
        logits = torch.addmm(final.bias, final.matrix, last)
        logits = logits.double()  # as in `measure_point`
        return (logits.logsumexp(0) - logits.gather(0, y[None])[0]).sum().item()

    def _run_block(self, block: nn.Module, products: Iterator[_Product], a: Tensor) -> Tensor:
        """a[l+2] from a[l], which is overwritten where dimensions are equal."""
        first, pre, n = next(products), block.order == "pre", a.shape[-1]
        height = -(-len(self._inner(a)) // first.stride)
        features = len(first.bias)
        source = a
        if pre:
            source = self._take("g", len(self._inner(a)), a.shape[1], n)
            self.g(_normalise(self._inner(a), block.norm1, self._inner(source)))
        hidden = self._take("h", height, features, n)
        self.g(self._run(first, source, hidden))
        same = self._inner(a).shape == (height, features, n)
        projects = block.skip and isinstance(block.shortcut, nn.Sequential)
        out = self._take("b" if projects and a is self._take("a", height, features, n) else "a", height, features, n)
        if projects:
            self._run(next(products), a, out)
        elif block.skip and not same:
            self._pad(a, out, block.shortcut)
        z = self._run(next(products), hidden, out, block.skip)
        if not pre:
            self.g(z)
        return out

    def _pad(self, a: Tensor, out: Tensor, shortcut: nn.Module) -> None:
        """Option A: every `stride`-th pixel of a[l], and zeros for the added channels."""
        if not self.conv:
            out[0].zero_()[: a.shape[1]] = a[0]
            return
        rows, stride = self._inner(a)[:: shortcut.stride], shortcut.stride
        inner = self._inner(out)
        pixels = rows.unflatten(1, (-1, len(self._inner(a))))[:, :, ::stride].flatten(1, 2)  # pictures are square
        inner.zero_()[:, : pixels.shape[1]] = pixels


def _make_product(pack: Pack, whole: bool, layer: nn.Module, norm: nn.Module, width: int) -> _Product:
    """A layer and the BatchNorm behind it as one matrix on rows of `width` pixels."""
    scale, shift = _fold(norm, len(layer.weight))
    weight = pack[layer.weight].view(layer.weight.shape) * scale.view(-1, *[1] * (layer.weight.dim() - 1))
    bias = torch.zeros(len(weight)) if layer.bias is None else pack[layer.bias] * scale
    bias = bias + shift if whole else bias
    if weight.dim() == 2:
        return _Product(weight, bias[:, None], 1, 1)
    kernel, stride = weight.shape[-1], layer.stride[0]
    after = -(-width // stride)
    column = torch.arange(width) - stride * torch.arange(after)[:, None] + kernel // 2  # (after, width)
    taps = (column[:, None] == torch.arange(kernel)[:, None]).float()  # (after, kernel, width)
    matrix = torch.einsum("ockx,jxi->ojkci", weight, taps).reshape(len(weight) * after, -1)
    return _Product(matrix, bias.repeat_interleave(after)[:, None], kernel, stride)


def _fold(norm: nn.Module, channels: int) -> tuple[Tensor, Tensor]:
    """BatchNorm with stored statistics as factors and terms: (channels,) each."""
    if isinstance(norm, nn.Identity):
        return torch.ones(channels), torch.zeros(channels)
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    return scale, norm.bias - norm.running_mean * scale


def _normalise(a: Tensor, norm: nn.Module, out: Tensor) -> Tensor:
    """BatchNorm with stored statistics on (height, channels·width, n), into `out`."""
    if isinstance(norm, nn.Identity):
        return out.copy_(a)
    factors = _fold(norm, len(norm.weight))
    scale, shift = (v.repeat_interleave(a.shape[1] // len(v))[:, None] for v in factors)
    return torch.mul(a, scale, out=out).add_(shift)
