"""Files of weights as people have them are read; what cannot be used says its own cause, and nothing in it is run."""

import argparse
import io
import pickle
import re
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save as save_safetensors
from torch import nn

from resnet_viz.lab import checkpoints
from resnet_viz.lab.checkpoints import fill, match_names, read_metadata, read_state
from resnet_viz.records import ConfigError

ROOM = 2**22


def make() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 40), nn.BatchNorm1d(40))


def save(content: object, legacy: bool = False) -> bytes:
    out = io.BytesIO()
    torch.save(content, out, _use_new_zipfile_serialization=not legacy)
    return out.getvalue()


def read(path: Path, data: bytes) -> nn.Module:
    """A net filled from a file."""
    path.write_bytes(data)
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(3, 40), nn.BatchNorm1d(40))
    fill(module, match_names(read_state(str(path)), module.state_dict()), str(path))
    return module


def refuse(path: Path, data: bytes) -> str:
    with pytest.raises(ConfigError) as caught:
        read(path, data)
    assert caught.value.field == "weights" and "net.pth" in str(caught.value) and len(str(caught.value)) < 350
    return str(caught.value)


def prefix(state: dict, first: str) -> dict:
    return {first + name: part for name, part in state.items()}


STATE = make().state_dict()
TRAINED = {  # as trainers write them
    "alone": STATE,
    "safetensors": None,
    "parameters": dict(make().named_parameters()) | dict(make().named_buffers()),
    "DataParallel": prefix(STATE, "module."),
    "compiled": prefix(STATE, "_orig_mod.module."),
    "PyTorch’s ImageNet example": {"epoch": 90, "arch": "x", "state_dict": prefix(STATE, "module."),
                                   "best_acc1": torch.tensor(70.0), "optimizer": {"state": {0: {"m": torch.zeros(9)}}}},
    "timm": {"arch": "x", "state_dict": STATE, "state_dict_ema": prefix(STATE, "ema.")},
    "pytorch-cifar": {"net": prefix(STATE, "module."), "acc": 93.1, "epoch": 199},
    "torchvision’s references": {"model": STATE, "optimizer": {}, "args": None, "epoch": 3},
    "PyTorch’s tutorial": {"model_state_dict": STATE, "optimizer_state_dict": {}, "loss": 0.1},
    "a name beside": {"model": "resnet18", "state_dict": STATE},
    "half precision": {name: part.to(torch.bfloat16) if part.is_floating_point() else part for name, part in STATE.items()},
}


@pytest.mark.parametrize("kind", TRAINED)
@pytest.mark.parametrize("legacy", [False, True])
def test_weights_are_read_as_trainers_write_them(tmp_path: Path, kind: str, legacy: bool) -> None:
    data = save_safetensors(STATE) if kind == "safetensors" else save(TRAINED[kind], legacy)
    found = read(tmp_path / "net.pth.tar", data).state_dict()
    tolerance = 1e-2 if kind == "half precision" else 0
    for name, part in STATE.items():
        assert name.endswith("tracked") or torch.allclose(found[name], part, tolerance, tolerance), name


def test_a_file_may_be_gone_once_it_is_read(tmp_path: Path) -> None:
    module = read(tmp_path / "net.pth", save(STATE))
    (tmp_path / "net.pth").unlink()
    assert torch.equal(module[0].weight, STATE["0.weight"])


def zip_up(name: str, data: bytes, kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        archive.writestr(name, data)
    return out.getvalue()


def tar_up(data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("net.pth"), io.BytesIO(data))
    return out.getvalue()


def script() -> bytes:
    out = io.BytesIO()
    with pytest.warns(FutureWarning):
        torch.jit.save(torch.jit.script(make()), out)
    return out.getvalue()


WHOLE, OLD, SAFE = save(STATE), save(STATE, legacy=True), save_safetensors(STATE)
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab\n"
CAUSES: dict[str, tuple[bytes | Callable[[], bytes], str]] = {
    "empty": (b"", "is empty"),
    "a web page": (b"<!DOCTYPE html>\n<html><head><title>404</title>", "is a web page"),
    "a web page after blanks": (b"\xef\xbb\xbf\r\n <html lang='zh'>", "is a web page"),
    "an error of a store": (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
    "a pointer": (LFS, "Git LFS pointer"),
    "a text": ("404: 没有\n".encode() * 60, "is a text"),
    "JSON": (b'{"error":{"code":404}, "text": "no such file"}', "is a text"),
    "a zip of weights": (zip_up("net.pth", WHOLE), "unpack it first"),
    "weights packed again": (zip_up("net/data.pkl", WHOLE), "unpack it first"),
    "a tar of weights": (tar_up(WHOLE), "unpack it first"),
    "gzip": (b"\x1f\x8b" + bytes(50), "unpack it first"),
    "a pickle": (pickle.dumps({"a": np.zeros(3)}), "torch did not save"),
    "a module": (save(make()), "Python object in it, torch.nn.modules.container.Sequential,"),
    "a module, legacy": (save(make(), legacy=True), "Python object in it, torch.nn.modules.container.Sequential,"),
    "a number of numpy": (save({"state_dict": STATE, "best": np.float64(1)}), r"object in it, numpy.*scalar,"),
    "options": (save({"state_dict": STATE, "args": argparse.Namespace()}), "object in it, argparse.Namespace,"),
    "TorchScript": (script, "TorchScript program"),
    "half": (WHOLE[: len(WHOLE) // 2], "ends before"), "nearly all": (WHOLE[:-9], "ends before"),
    "half, legacy": (OLD[: len(OLD) // 2], "ends before"), "nearly all, legacy": (OLD[:-1], "ends before"),
    "half, safetensors": (SAFE[:-1], "ends before"), "its head alone": (SAFE[:100], "ends before"),
    "damaged": (WHOLE.replace(b"_rebuild", b"\xff\xff\xff\xff\xff\xff\xff\xff"), "is damaged"),
    "damaged head": (SAFE.replace(b'"dtype"', b'"dtipe"'), "is damaged"),
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(100), "neither"),
    "no head": (struct.pack("<Q", 2**60) + b"{" + bytes(50), "neither"),
    "a list": (save([1, 2]), "a state dict"), "a tensor": (save(torch.zeros(3)), "a state dict"),
    "nothing": (save({}), "a state dict"), "numbers": (save({"state_dict": {"a": 1}}), "a state dict"),
    "two levels": (save({"model": {"state_dict": STATE}}), "under one of state_dict, model_state_dict, model, net"),
    "missing": (save({k: v for k, v in STATE.items() if k != "1.bias"}), "1.bias, of shape 40, is not in the file"),
    "a prefix of some": (save(prefix(STATE, "net.") | {"x": torch.zeros(1)}), "0.weight, of shape 40×3, is not"),
    "shape": (save(STATE | {"0.weight": torch.zeros(4, 3)}), "0.weight has shape 40×3 here, and 4×3 in the file"),
    "unknown": (save(STATE | {"head.extra": torch.zeros(2, 5)}), "has no head.extra, as the file has of shape 2×5"),
    "not finite": (save(STATE | {"1.weight": STATE["1.weight"] * torch.nan}), "1.weight holds numbers that are not finite"),
    "too large for the net": (save(STATE | {"0.bias": torch.full((40,), 1e300, dtype=torch.float64)}), "are not finite"),
    "whole numbers": (save(STATE | {"0.bias": torch.zeros(40, dtype=torch.int32)}), "but 0.bias is int32"),
    "sparse": (save(STATE | {"0.weight": STATE["0.weight"].to_sparse()}), "but 0.weight is sparse_coo"),
    "meta": (save(STATE | {"0.bias": torch.zeros(40, device="meta")}), "but 0.bias is"),
}


@pytest.mark.parametrize("kind", CAUSES)
def test_what_cannot_be_used_says_its_own_cause(tmp_path: Path, kind: str) -> None:
    data, words = CAUSES[kind]
    told = refuse(tmp_path / "net.pth", data() if callable(data) else data)
    assert re.search(words, told), told


class Trap:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a file was run",)


@pytest.mark.parametrize("data", [save({"a": Trap()}), save({"a": Trap()}, legacy=True), pickle.dumps(Trap())])
def test_nothing_is_run(tmp_path: Path, data: bytes) -> None:
    assert "could run code" in refuse(tmp_path / "net.pth", data)


def test_nothing_large_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither as it stands nor unpacked."""
    monkeypatch.setattr(checkpoints, "MAX_FILE", ROOM)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("opened"))
    assert "4 MB at most" in refuse(tmp_path / "net.pth", bytes(ROOM + 1))
    bomb = zip_up("archive/data/0", bytes(2 * ROOM))
    assert len(bomb) < ROOM // 100 and "4 MB at most" in refuse(tmp_path / "net.pth", bomb)


def test_what_a_file_only_claims_is_not_made_room_for(tmp_path: Path) -> None:
    """One number under a large shape is not spread out; of more numbers than the file has, none comes from elsewhere."""
    wide = torch.zeros(1).expand(10**7, 10**7)
    assert "40×3 here, and 10000000×10000000" in refuse(tmp_path / "net.pth", save(STATE | {"0.weight": wide}))
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(WHOLE)) as source, zipfile.ZipFile(out, "w") as archive:
        for part in source.infolist():
            archive.writestr(part.filename, source.read(part).replace(b"Kx", b"J\xff\xff\xff\x7f"))  # for the 120 weights
    assert torch.equal(read(tmp_path / "net.pth", out.getvalue())[0].weight, STATE["0.weight"])


@pytest.mark.parametrize("name", ["", "\0", "folder", "nowhere.pth"])
def test_what_is_no_file_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(ConfigError, match="readable file"):
        read_state(name and str(tmp_path / name))


def test_only_safetensors_keep_a_text_beside_the_weights(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(save_safetensors(STATE, {"config": "{}"}))
    (tmp_path / "b").write_bytes(WHOLE)
    assert read_metadata(str(tmp_path / "a"), "config") == "{}" and read_metadata(str(tmp_path / "b"), "config") is None
