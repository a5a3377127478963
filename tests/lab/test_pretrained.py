"""torchvision's ResNets: only safe pictures come in, the clear net is the same net, and random weights are named so."""

import io
import pickle
import struct
import urllib.error
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from resnet_viz.lab import pretrained
from resnet_viz.lab.experiments.pictures import measure_picture, measure_picture_blocks
from resnet_viz.lab.pretrained import decode_picture, load_pretrained, prepare
from resnet_viz.records import ConfigError

torch.set_num_threads(1)


def encode(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def draw(width: int = 300, height: int = 260) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def write_png(width: int, height: int, depth: int, pixels: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def claim_size(width: int, height: int) -> bytes:
    """A PNG of a few bytes whose header claims a size."""
    return write_png(width, height, 8, zlib.compress(b""))


@pytest.fixture(scope="module")
def model() -> pretrained.Pretrained:
    return load_pretrained("resnet18", "random")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_prepared_as_the_weights_say(kind: str) -> None:
    data = encode(draw(), kind)
    expected = models.ResNet18_Weights.IMAGENET1K_V1.transforms()(Image.open(io.BytesIO(data)))
    torch.testing.assert_close(prepare(decode_picture(data))[0], expected)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "I;16", "1"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = Image.new("I;16", (50, 40), 30000) if mode == "I;16" else draw().convert(mode)
    assert decode_picture(encode(image)).shape == (224, 224, 3)


@pytest.mark.parametrize("kind", ["1 pixel", "CMYK", "16 bit RGB", "animated", "huge comment"])
def test_odd_but_whole_pictures_are_seen_or_told(kind: str) -> None:
    """They give a picture, or a sentence; never another exception."""
    if kind == "1 pixel":
        data = encode(Image.new("RGB", (1, 1), "red"))
        assert (decode_picture(data) == (255, 0, 0)).all()
    elif kind == "CMYK":
        assert decode_picture(encode(draw().convert("CMYK"), "JPEG")).shape == (224, 224, 3)
    elif kind == "16 bit RGB":
        rows = b"".join(b"\0" + bytes([200, 0, 100, 0, 50, 0]) * 40 for _ in range(40))
        found = decode_picture(write_png(40, 40, 16, zlib.compress(rows)))
        assert (found == (200, 100, 50)).all()
    elif kind == "animated":
        out = io.BytesIO()
        frames = [Image.new("RGB", (50, 50), colour) for colour in ("red", "blue")]
        frames[0].save(out, "PNG", save_all=True, append_images=frames[1:])
        assert (decode_picture(out.getvalue()) == (255, 0, 0)).all()
    else:
        data = encode(draw())
        bomb = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(50_000_000)))
        with pytest.raises(ConfigError, match="PNG or JPEG"):
            decode_picture(data[:-12] + bomb + data[-12:])


def test_transparent_parts_are_white_and_16_bit_greys_are_greys() -> None:
    assert (decode_picture(encode(Image.new("RGBA", (40, 40), (0, 0, 0, 0)))) == 255).all()
    assert (decode_picture(encode(Image.new("I;16", (40, 40), 100 * 256))) == 100).all()


def test_a_picture_is_turned_as_its_camera_was() -> None:
    image = Image.new("RGB", (100, 100), "red")
    image.paste("blue", (0, 0, 100, 50))  # the upper half
    exif = image.getexif()
    exif[0x0112] = 3  # upside down
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    found = decode_picture(out.getvalue()).astype(int)
    assert np.abs(found[10, 112] - (255, 0, 0)).max() < 10 and np.abs(found[-10, 112] - (0, 0, 255)).max() < 10


@pytest.mark.parametrize("data, word", [
    (b"", "PNG or JPEG"), (b"GIF89a" + bytes(50), "PNG or JPEG"), (encode(draw(), "BMP"), "PNG or JPEG"),
    (encode(draw(), "GIF"), "PNG or JPEG"), (encode(draw())[:400], "PNG or JPEG"),
    (encode(draw(), "JPEG")[:5000], "PNG or JPEG"), (b"\x89PNG\r\n\x1a\n" + bytes(100), "PNG or JPEG"),
    (bytes(10 * 2**20 + 1), "10 MB"),
    (claim_size(5000, 5000), "20 megapixels"), (claim_size(60000, 60000), "20 megapixels"),
    (claim_size(1, 1_000_000), "10 times"), (encode(Image.new("RGB", (1, 5000))), "10 times")])
def test_what_is_no_safe_picture_is_told(data: bytes, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        decode_picture(data)


def test_nothing_is_decoded_before_its_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ConfigError, match="megapixels"):
        decode_picture(claim_size(5000, 5000))


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_the_clear_net_is_the_same_net(name: str) -> None:
    torch.manual_seed(0)
    module, x = models.get_model(name).eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        before = module(x)
        assert torch.equal(pretrained.clear(module).eval()(x), before)


def test_weights_come_from_either_kind_of_file(tmp_path, model) -> None:
    torch.manual_seed(1)
    source = models.resnet18().eval()
    save_file(source.state_dict(), tmp_path / "a.safetensors")
    torch.save(source.state_dict(), tmp_path / "a.pth")
    x = torch.randn(1, 3, 64, 64)
    for name in ("a.safetensors", "a.pth"):
        loaded = load_pretrained("resnet18", str(tmp_path / name))
        assert not loaded.random and torch.equal(loaded.module(x), source(x))
        assert not torch.equal(loaded.module(x), model.module(x))
    with pytest.raises(ConfigError, match="of another shape"):
        load_pretrained("resnet34", str(tmp_path / "a.pth"))


@pytest.mark.parametrize("fault", ["missing", "unknown", "shape", "nan", "integers", "sparse"])
def test_weights_that_do_not_fit_are_told_by_name(tmp_path, fault: str) -> None:
    state = models.resnet18().state_dict()
    name = "layer2.0.conv1.weight"
    part = state.pop(name)
    changed = {"unknown": {name: part, "head.extra": part}, "shape": {name: part[:-1]}, "nan": {name: part * torch.nan},
               "integers": {name: part.int()}, "sparse": {name: part.to_sparse()}}
    torch.save(state | changed.get(fault, {}), tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="head.extra" if fault == "unknown" else name):
        load_pretrained("resnet18", str(tmp_path / "a.pth"))


def test_a_file_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "MAX_FILE", 10**6)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpacked"))
    with zipfile.ZipFile(tmp_path / "bomb.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(2 * 10**6))
    assert (tmp_path / "bomb.pth").stat().st_size < 10**5
    with pytest.raises(ConfigError, match="too large"):
        load_pretrained("resnet18", str(tmp_path / "bomb.pth"))


def test_a_folder_is_no_file(tmp_path) -> None:
    with pytest.raises(ConfigError, match="weights"):
        load_pretrained("resnet18", str(tmp_path))


class Trap:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a file was run",)


def test_a_file_is_never_run(tmp_path) -> None:
    torch.save({"a": Trap()}, tmp_path / "trap.pth")
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Trap()))
    (tmp_path / "junk.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{" + bytes(50))
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("trap.pth", "raw.pth", "junk.safetensors", "list.pth", "missing.pth"):
        with pytest.raises(ConfigError, match="weights"):
            load_pretrained("resnet18", str(tmp_path / name))


def test_without_a_network_it_says_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route to host")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", fail)
    with pytest.raises(ConfigError, match="local file"):
        load_pretrained("resnet18")


def test_a_download_tells_its_progress_and_is_checked(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reply(io.BytesIO):
        headers = {"Content-Length": "5"}
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Reply(b"hello"))
    seen: list = []
    good = pretrained.download_weights("x://y/net-2cf24dba.pth", lambda *step: seen.append(step))  # of sha256("hello")
    assert Path(good).read_bytes() == b"hello" and seen == [(5, 5)]
    with pytest.raises(ConfigError, match="should be"):
        pretrained.download_weights("x://y/net-00000000.pth")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["net-2cf24dba.pth"]


def test_a_download_ends_when_nobody_waits(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The note is told how far it is; removing it stops the download, and nothing is left of it."""
    note = tmp_path / "note"
    note.write_text("")

    class Reply(io.BytesIO):
        headers = {"Content-Length": str(3 * 2**20)}

        def read(self, size: int = -1) -> bytes:
            if note.exists() and note.read_text():
                assert note.read_text() == f"{2**20} {3 * 2**20}"
                note.unlink()
            return super().read(size)

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Reply(bytes(3 * 2**20)))
    with pytest.raises(ConfigError, match="download failed"):
        pretrained.fetch_weights("resnet18", str(note))
    assert not list((tmp_path / "checkpoints").iterdir())


def test_a_picture_is_measured(model) -> None:
    picture = decode_picture(encode(draw()))
    options = {"integrated-gradients": {"steps": 2}, "grad-cam": {"stage": 2}, "occlusion": {"window": 112}}
    for method, more in options.items():
        result = measure_picture(model, picture, method, **more)
        assert result.random and result.map.shape == (224, 224) and np.isfinite(result.map).all() and result.map.any()
        assert len(result.probabilities) == 5 and result.target_name == result.probabilities[0][0]
        assert result.probabilities[0][1] >= result.probabilities[4][1] > 0


def test_credit_of_torchvision_s_blocks_adds_up(model) -> None:
    picture = decode_picture(encode(draw()))
    result = measure_picture_blocks(model, picture, "deep-lift")
    assert result.shortcut.shape == (8,) and result.completeness_error.max() < 0.01
    result = measure_picture_blocks(model, picture, steps=8)
    assert result.completeness_error.max() < 0.3
