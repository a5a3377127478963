"""torchvision's ResNets, to look at a picture with: the weights found, the blocks made clear enough to be looked into.

torchvision's blocks add in place and use one in-place ReLU several times, so hooks read the wrong tensor. `ClearBlock` has
the same layers and the same numbers, a module for every step, and none in place.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, ResNet

from resnet_viz.lab.checkpoints import fill, match_names, read_state, refuse
from resnet_viz.lab.nets import IdentityShortcut
from resnet_viz.records import MAX_CLASSES, N_, ConfigError, check_pretrained

NAMES = 1000  # classes, of which torchvision knows the names
MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Progress = Callable[[int, int | None], None]  # bytes so far, and of all


class ClearBlock(nn.Module):
    """A block of torchvision's with a module for each step: g(branch(a) + shortcut(a))."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        parts = [block.conv1, block.bn1, nn.ReLU(), block.conv2, block.bn2]
        if not isinstance(block, BasicBlock):
            parts += [nn.ReLU(), block.conv3, block.bn3]
        self.branch = nn.Sequential(*parts)
        self.shortcut = IdentityShortcut() if block.downsample is None else block.downsample
        self.g = nn.ReLU()

    def forward(self, a: Tensor) -> Tensor:
        return self.g(self.branch(a) + self.shortcut(a))


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A ResNet in evaluation mode, its classes’ names, or numbers where nobody knows them, and whether its weights are
    random: nobody trained them.
    """

    module: ResNet
    classes: tuple[str, ...]
    random: bool

    @property
    def blocks(self) -> list[ClearBlock]:
        return [part for part in self.module.modules() if isinstance(part, ClearBlock)]

    def last_block(self, stage: int) -> ClearBlock:
        """The last block of a stage from 0 to 3."""
        return getattr(self.module, f"layer{stage + 1}")[-1]


def prepare(picture: np.ndarray) -> Tensor:
    """A decoded picture as the net takes it: (1, 3, 224, 224), ImageNet's mean and spread taken out."""
    x = torch.tensor(picture).permute(2, 0, 1).float() / 255
    return ((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(SPREAD)[:, None, None])[None]


def load_pretrained(name: str, weights: str = "download", progress: Progress | None = None) -> Pretrained:
    """torchvision's ResNet. `weights` is "download" (those that torchvision names), "random" (seed 0) or a file's path.

    A downloaded file is kept where torch keeps its own. Raises `ConfigError` where weights cannot be had or do not fit.
    """
    check_pretrained(name)
    known = models.get_model_weights(name).IMAGENET1K_V1
    path = download_weights(known.url, progress) if weights == "download" else weights
    state = None if weights == "random" else read_state(path)
    classes = NAMES if state is None else count_classes(state, path)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.get_model(name, num_classes=classes)
    if state is not None:
        fill_resnet(module, state, path)
    names = known.meta["categories"] if classes == NAMES else map(str, range(classes))
    return Pretrained(clear(module).eval().requires_grad_(False), tuple(names), state is None)


def count_classes(state: dict[str, Tensor], path: str) -> int:
    """Those of the file’s last layer; ImageNet’s where it has none that fits, which `fill_resnet` tells."""
    last = [part for name, part in state.items() if name.endswith("fc.weight") and part.dim() == 2]
    if len(last) != 1:
        return NAMES
    if not 2 <= len(last[0]) <= MAX_CLASSES:
        takes = N_("a last layer of {low} to {high} classes, and this one has {found}")
        refuse(path, takes, low=2, high=MAX_CLASSES, found=len(last[0]))
    return len(last[0])


def fill_resnet(module: ResNet, state: dict[str, Tensor], path: str) -> None:
    """`fill`, which a net of another depth is told by its name."""
    wanted = module.state_dict()
    state = match_names(state, wanted)
    expected, found = name_resnet(wanted), name_resnet(state)
    if found is not None and found != expected:
        refuse(path, N_("weights of {expected}, and this file has those of {found}"), expected=expected, found=found)
    fill(module, state, path)


def name_resnet(state: Mapping[str, Tensor]) -> str | None:
    """Which net has these tensors, such as "ResNet-34", by torchvision’s names for them; None for none with such names."""
    first, second = (state.get(f"layer1.0.conv{k}.weight") for k in (1, 2))
    if first is None or second is None or "conv1.weight" not in state:
        return None
    blocks = {found[0] for name in state if (found := re.match(r"layer\d+\.\d+\.", name))}
    deep = "layer1.0.conv3.weight" in state
    depth = 2 + len(blocks) * (3 if deep else 2)
    grouped = second.shape[1:2] != first.shape[:1]
    kind = "ResNeXt" if grouped else "Wide ResNet" if deep and len(first) > 64 else "ResNet"
    return f"{kind}-{depth}"


def clear(module: ResNet) -> ResNet:
    """The same net and the same numbers, with clear blocks and nothing in place. Changes the module it is given."""
    module.relu = nn.ReLU()
    for stage in (module.layer1, module.layer2, module.layer3, module.layer4):
        for k, block in enumerate(stage):
            stage[k] = ClearBlock(block)
    return module


def download_weights(url: str, progress: Progress | None = None) -> str:
    """The path of torchvision's file, fetched if it is not there; its name ends in the beginning of its SHA-256."""
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    path = folder / url.rsplit("/", 1)[1]
    if path.exists():
        return str(path)
    part = None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        digest, done = sha256(), 0
        with urllib.request.urlopen(url, timeout=20) as reply, tempfile.NamedTemporaryFile(dir=folder, delete=False) as out:
            part = out.name
            size = int(reply.headers.get("Content-Length") or 0) or None
            while chunk := reply.read(2**20):
                out.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                if progress is not None:
                    progress(done, size)
        if not digest.hexdigest().startswith(path.stem.rsplit("-", 1)[1]):
            raise OSError("the file is not the one it should be")
        os.replace(part, path)
    except (OSError, ValueError) as error:
        takes = N_("a local file with the weights, or random weights: the download failed ({reason})")
        raise ConfigError("weights", path.name, takes, reason=str(getattr(error, "reason", error))[:200]) from None
    finally:
        if part is not None:
            with contextlib.suppress(OSError):
                os.unlink(part)
    return str(path)


def fetch_weights(name: str, note: str) -> str:
    """Have torchvision's file of a net where torch keeps its own: its path. `note` is a file of whoever waits: it is told
    the bytes so far and of all, and removing it stops the download.
    """
    check_pretrained(name)

    def tell(done: int, size: int | None) -> None:
        if os.path.isdir(os.path.dirname(note)):  # else whoever waits does so on another machine
            with open(note, "r+", encoding="ascii") as file:  # an OSError where it has been removed
                file.write(f"{done} {size or 0}")

    return download_weights(models.get_model_weights(name).IMAGENET1K_V1.url, tell)


def list_classes() -> tuple[str, ...]:
    """The names of ImageNet's 1000 classes."""
    return tuple(models.ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
