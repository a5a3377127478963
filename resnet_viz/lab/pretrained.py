"""torchvision's ResNets on a picture that a person brings: the picture decoded safely, the weights found, the blocks made
clear enough to be looked into.

torchvision's blocks add in place and use one in-place ReLU several times, so hooks read the wrong tensor. `ClearBlock` has
the same layers and the same numbers, a module for every step, and none in place.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import tempfile
import urllib.request
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn
from torchvision import models
from torchvision.models.resnet import BasicBlock, ResNet
from torchvision.transforms import functional as T

from resnet_viz.lab.nets import IdentityShortcut
from resnet_viz.records import N_, ConfigError, check_pretrained

MAX_BYTES = 10 * 2**20
MAX_PIXELS = 20_000_000
MAX_RATIO = 10  # a line of one pixel would become enormous when its short side is made 256
MAX_FILE = 2**30
SIDE, CROP = 256, 224
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
    """A ResNet in evaluation mode, its 1000 class names, and whether its weights are random: nobody trained them."""

    module: ResNet
    classes: tuple[str, ...]
    random: bool

    @property
    def blocks(self) -> list[ClearBlock]:
        return [part for part in self.module.modules() if isinstance(part, ClearBlock)]

    def last_block(self, stage: int) -> ClearBlock:
        """The last block of a stage from 0 to 3."""
        return getattr(self.module, f"layer{stage + 1}")[-1]


def decode_picture(data: bytes, name: str = "") -> np.ndarray:
    """A PNG or JPEG as the nets see it: (224, 224, 3) uint8, RGB, its short side made 256 and the middle cut out.

    Raises `ConfigError` for any other content, more than 10 MB or 20 megapixels (before anything is decoded), or a
    picture more than ten times as long as it is high.
    """
    if len(data) > MAX_BYTES:
        raise ConfigError("picture", f"{len(data)} bytes", N_("a file of {high} MB at most"), high=MAX_BYTES // 2**20)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=("PNG", "JPEG"))
            _check_size(*image.size)
            image = _to_rgb(ImageOps.exif_transpose(image))
    except ConfigError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        _refuse_pixels("so many pixels")
    except Exception as error:  # a broken file can fail in any of a decoder's ways
        raise ConfigError("picture", name or type(error).__name__, N_("a whole PNG or JPEG picture")) from None
    return np.array(T.center_crop(T.resize(image, [SIDE], antialias=True), [CROP]))


def _refuse_pixels(value: str) -> None:
    raise ConfigError("picture", value, N_("{high} megapixels at most"), high=MAX_PIXELS // 10**6)


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        _refuse_pixels(f"{width}×{height}")
    if max(width, height) > MAX_RATIO * min(width, height):
        raise ConfigError("picture", f"{width}×{height}", N_("sides of which one is at most {high} times the other"),
                          high=MAX_RATIO)


def _to_rgb(image: Image.Image) -> Image.Image:
    """Transparent parts become white, 16-bit greys 8-bit ones."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image) // 256).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")


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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = models.get_model(name)
    if weights != "random":
        path = download_weights(known.url, progress) if weights == "download" else weights
        fill(module, read_state(path), path)
    return Pretrained(clear(module).eval().requires_grad_(False), tuple(known.meta["categories"]), weights == "random")


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


def read_state(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict that torch saved; nothing in it is run."""
    try:
        _check_file(path)
        with open(path, "rb") as file:
            start = file.read(9)
        if start[8:] == b"{":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a broken file can fail in any of a reader's ways
        reason = getattr(error, "strerror", None) or type(error).__name__
        takes = N_("a readable safetensors file or state dict ({reason})")
        raise ConfigError("weights", str(path), takes, reason=reason) from None
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ConfigError("weights", str(path), N_("a state dict: tensors by name, and nothing else"))
    return state


def _check_file(path: str) -> None:
    """Raise `OSError` for what is no file, or too large as it is or when unpacked: torch's files are zip archives."""
    size = os.path.getsize(path)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            size = max(size, sum(part.file_size for part in archive.infolist()))
    if not os.path.isfile(path) or size > MAX_FILE:
        raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))


def fill(module: nn.Module, state: dict[str, Any], path: str) -> None:
    """Fill a net. Raises `ConfigError`, before anything is filled, where a name is another or a tensor does not fit."""
    wanted = {name: part for name, part in module.state_dict().items() if not name.endswith("num_batches_tracked")}
    wrong = [name for name, part in wanted.items() if name not in state or not _fits(state[name], part)]
    wrong += [name for name in state if name not in wanted and not str(name).endswith("num_batches_tracked")]
    if wrong:
        takes = N_("weights of this net: {name} is missing, unknown, of another shape or not finite")
        raise ConfigError("weights", str(path), takes, name=repr(wrong[0])[1:-1][:60])
    module.load_state_dict({name: state[name] for name in wanted}, strict=False)


def _fits(given: Tensor, part: Tensor) -> bool:
    plain = given.layout is torch.strided and given.device.type == "cpu" and given.is_floating_point()
    return plain and given.shape == part.shape and bool(torch.isfinite(given).all())
