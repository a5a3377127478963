"""Tensors by name from a file of weights, whoever wrote it. Nothing in it is run; what it is instead is said in words."""

from __future__ import annotations

import contextlib
import json
import os
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from resnet_viz.records import N_, ConfigError

MAX_FILE = 2**30  # bytes, also of what an archive unpacks to
PRECISIONS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)  # what is read
WRAPPERS = ("state_dict", "model_state_dict", "model", "net")  # under which trainers put the state dict
COUNTER = "num_batches_tracked"  # of BatchNorm: no number of the net depends on it
LEGACY = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # how torch's files began before 1.6
BEGINNINGS = {  # of files that are no weights
    b"version https:": N_("weights, and this file is only a Git LFS pointer to them: fetch what it points to, "
                                   "such as by “git lfs pull”"),
    b"\x1f\x8b": (ARCHIVE := N_("weights, and this file is an archive: unpack it first")),
    b"7z\xbc\xaf": ARCHIVE, b"Rar!": ARCHIVE, b"BZh": ARCHIVE, b"\xfd7zXZ": ARCHIVE,
    b"\x80": N_("weights, and this file is a Python pickle that torch did not save: it is never opened, as it could run "
                "code; save model.state_dict() with torch.save"),
}
OBJECT = N_("tensors alone, and this file has a Python object in it, {name}, such as a whole pickled model: it is never "
            "opened, as it could run code; save model.state_dict() by itself")
CUT = N_("a whole file, and this one ends before its weights do: fetch or save it again")
DAMAGED = N_("a file that can be read, and this one is damaged: fetch or save it again")


def refuse(path: str, takes: str, **params: Any) -> NoReturn:
    raise ConfigError("weights", os.path.basename(path) or str(path), takes, **params) from None


# ---------------------------------------------------------------------------------------------------- files


def read_state(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a state dict that torch saved, by itself or under one of `WRAPPERS`.

    torch's zip files are mapped and not copied: optimizer states beside the weights cost no memory. Raises `ConfigError`
    with the cause in words.
    """
    if identify(path) == "safetensors":
        with open_safetensors(path) as file:
            return {name: file.get_tensor(name) for name in sorted(file.keys())}
    content = load_torch(path)
    for part in (content, *(content.get(name) for name in WRAPPERS if isinstance(content, Mapping))):
        if isinstance(part, Mapping) and part and all(isinstance(name, str) and isinstance(value, Tensor)
                                                      for name, value in part.items()):
            return dict(part)
    refuse(path, N_("a state dict: tensors by name, and nothing else, by itself or under one of {allowed}"),
           allowed=", ".join(WRAPPERS))


def read_metadata(path: str, name: str) -> str | None:
    """A text that a safetensors file keeps beside its tensors; None where it keeps none, or is of torch's kind."""
    if identify(path) != "safetensors":
        return None
    with open_safetensors(path) as file:
        return (file.metadata() or {}).get(name)


def identify(path: str) -> str:
    """ "safetensors", "zip" or "legacy", the last two of torch's. Raises `ConfigError` for what is none of them, half of
    one, or too large.
    """
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as file:
            head = file.read(512)
    except (OSError, ValueError) as error:
        refuse(path, N_("a readable file ({reason})"), reason=getattr(error, "strerror", None) or str(error))
    if size > MAX_FILE:
        _refuse_size(path)
    if size == 0:
        refuse(path, N_("weights, and this file is empty"))
    if head.startswith(b"PK\x03\x04"):
        return _check_archive(path)
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] < MAX_FILE:  # else it is a text
        return "safetensors"
    if not head.startswith(LEGACY):
        _refuse_kind(path, head)
    return "legacy"


def _refuse_size(path: str) -> NoReturn:
    refuse(path, N_("a file of {high} MB at most, also when unpacked"), high=MAX_FILE // 2**20)


def _refuse_kind(path: str, head: bytes) -> NoReturn:
    """Raise `ConfigError` with what the file is in place of weights, by how it begins."""
    for beginning, takes in BEGINNINGS.items():
        if head.startswith(beginning):
            refuse(path, takes)
    if head[257:262] == b"ustar":
        refuse(path, ARCHIVE)
    if re.match(rb"\s*(\xef\xbb\xbf)?\s*<(!doctype|html|head|\?xml|!--)", head, re.IGNORECASE):
        refuse(path, N_("weights, and this file is a web page: fetch the file itself, not the page about it"))
    with contextlib.suppress(UnicodeDecodeError):
        if head[:-4].decode("utf-8").replace("\n", "").replace("\r", "").replace("\t", "").isprintable():
            refuse(path, N_("weights, and this file is a text"))
    refuse(path, N_("a safetensors file or one that torch saved, and this file is neither"))


def _check_archive(path: str) -> str:
    """ "zip" for an archive as torch writes them, which packs nothing: so it is never larger than its file."""
    if not zipfile.is_zipfile(path):  # its directory stands at the end
        refuse(path, CUT)
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        refuse(path, DAMAGED)
    if sum(part.file_size for part in parts) > MAX_FILE:
        _refuse_size(path)
    names = {part.filename.partition("/")[2] for part in parts}
    if "constants.pkl" in names:
        refuse(path, N_("a state dict, and this file is a TorchScript program, which is never opened; save "
                        "model.state_dict()"))
    if "data.pkl" not in names or any(part.compress_type != zipfile.ZIP_STORED for part in parts):
        refuse(path, ARCHIVE)
    return "zip"


def load_torch(path: str) -> Any:
    """What torch saved, tensors and plain values alone: anything else in the file is refused before it is made."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=identify(path) == "zip")
    except ConfigError:
        raise
    except Exception as error:  # a broken file can fail in any of a reader's ways
        if found := re.search(r"(?:GLOBAL|Trying to (?:load|instantiate)[^.]*?)\s+([A-Za-z_][\w.]*\w)", str(error)):
            refuse(path, OBJECT, name=found[1][:60])
        refuse(path, CUT if isinstance(error, EOFError | IndexError) or "EOF" in str(error) else DAMAGED)


@contextlib.contextmanager
def open_safetensors(path: str) -> Any:
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (OSError, SafetensorError, ValueError, RuntimeError):
        refuse(path, CUT if _is_cut(path) else DAMAGED)


def _is_cut(path: str) -> bool:
    """Whether a safetensors file ends before what its head says."""
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > size - 8:
            return True
        try:
            head = json.loads(file.read(length))
            return max(part["data_offsets"][1] for name, part in head.items() if name != "__metadata__") > size - 8 - length
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return False


# ---------------------------------------------------------------------------------------------------- nets


def match_names(state: dict[str, Tensor], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors by the names that a net has for them: without the prefix that all share, such as "module.", if only so
    they are known.
    """
    if any(name in wanted for name in state):
        return state
    prefix = os.path.commonprefix(list(state))
    prefix = prefix[: prefix.rfind(".") + 1]
    return {name.removeprefix(prefix): part for name, part in state.items()}


@torch.no_grad()
def fill(module: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """Fill a net. Raises `ConfigError`, before anything is filled, where a name or a tensor does not fit."""
    wanted = {name: part for name, part in module.state_dict().items() if not name.endswith(COUNTER)}
    found = {name: check_tensor(name, part, state.get(name), path) for name, part in wanted.items()}
    for name, part in state.items():
        if name not in wanted and not name.endswith(COUNTER):
            takes = N_("weights of this net, which has no {name}, as the file has of shape {found}")
            refuse(path, takes, name=write_name(name), found=write_shape(part))
    for name, part in wanted.items():
        part.copy_(found[name])


def check_tensor(name: str, part: Tensor, given: Tensor | None, path: str) -> Tensor:
    """The tensor in the net's precision. Raises `ConfigError` where it is not in the file, has another shape there, is none
    of plain floating-point numbers, or one of them is not finite.
    """
    expected = write_shape(part)
    if given is None:
        takes = N_("weights of this net: {name}, of shape {expected}, is not in the file")
        refuse(path, takes, name=name, expected=expected)
    if given.shape != part.shape:
        takes = N_("weights of this net: {name} has shape {expected} here, and {found} in the file")
        refuse(path, takes, name=name, expected=expected, found=write_shape(given))
    if given.layout is not torch.strided or given.device.type != "cpu" or given.dtype not in PRECISIONS:
        kind = given.dtype if given.layout is torch.strided and given.device.type == "cpu" else given.layout
        takes = N_("floating-point weights of one of {allowed}, but {name} is {found}")
        refuse(path, takes, allowed=", ".join(map(write_kind, PRECISIONS)), name=name, found=write_kind(kind))
    given = given.to(part.dtype)
    if not torch.isfinite(given).all():
        refuse(path, N_("finite weights, and {name} holds numbers that are not finite"), name=name)
    return given


def write_kind(kind: torch.dtype | torch.layout) -> str:
    return str(kind).removeprefix("torch.")


def write_name(name: str) -> str:
    return repr(name)[1:-1][:60]


def write_shape(part: Tensor) -> str:
    return "×".join(map(str, part.shape)) or "()"
