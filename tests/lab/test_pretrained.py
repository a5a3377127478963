"""torchvision's ResNets: weights as trainers write them, the clear net is the same net, random weights are named so."""

import io
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from resnet_viz.lab import pretrained
from resnet_viz.lab.experiments.pictures import measure_picture, measure_picture_blocks
from resnet_viz.lab.pictures import decode_picture
from resnet_viz.lab.pretrained import load_pretrained, prepare
from resnet_viz.records import ConfigError
from tests.lab.test_pictures import draw, encode

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> pretrained.Pretrained:
    return load_pretrained("resnet18", "random")


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_picture_is_prepared_as_the_weights_say(kind: str) -> None:
    data = encode(draw(), kind)
    expected = models.ResNet18_Weights.IMAGENET1K_V1.transforms()(Image.open(io.BytesIO(data)))
    torch.testing.assert_close(prepare(decode_picture(data).pixels)[0], expected)


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


def write_resnet(path: Path, name: str, **more: object) -> str:
    torch.save({"state_dict": {f"module.{k}": v for k, v in models.get_model(name, **more).state_dict().items()},
                "epoch": 90}, path)
    return str(path)


def test_a_net_of_any_number_of_classes_is_looked_at(tmp_path) -> None:
    """Where nobody knows the classes’ names they have numbers."""
    found = load_pretrained("resnet18", write_resnet(tmp_path / "a.pth.tar", "resnet18", num_classes=3))
    assert found.classes == ("0", "1", "2") and not found.random
    seen = measure_picture(found, decode_picture(encode(draw())).pixels, "grad-cam")
    assert sorted(name for name, _ in seen.probabilities) == ["0", "1", "2"]
    assert sum(share for _, share in seen.probabilities) == pytest.approx(1)
    with pytest.raises(ConfigError, match="from 0 to 2"):
        measure_picture(found, decode_picture(encode(draw())).pixels, "grad-cam", 3)
    with pytest.raises(ConfigError, match="of 2 to 22000 classes, and this one has 1"):
        load_pretrained("resnet18", write_resnet(tmp_path / "b.pth", "resnet18", num_classes=1))


@pytest.mark.parametrize("name, words", [
    ("resnet34", "weights of ResNet-18, and this file has those of ResNet-34"), ("resnet50", "those of ResNet-50"),
    ("wide_resnet50_2", "those of Wide ResNet-50"), ("resnext50_32x4d", "those of ResNeXt-50")])
def test_a_net_of_another_depth_is_told_which_it_is(name: str, words: str) -> None:
    with torch.device("meta"):
        state = models.get_model(name).state_dict()
        module = models.resnet18()
    with pytest.raises(ConfigError, match=words):
        pretrained.fill_resnet(module, state, "a.pth")


def test_a_cifar_net_of_a_trainer_is_told_its_depth(tmp_path) -> None:
    """Names as in the well-known 6n+2 nets in PyTorch: three stages, and a last layer that is called linear."""
    names = ["conv1", *(f"layer{s}.{k}.conv{c}" for s in (1, 2, 3) for k in range(9) for c in (1, 2)), "linear"]
    torch.save({"state_dict": {f"module.{name}.weight": torch.zeros(16, 16, 3, 3) for name in names}}, tmp_path / "a.th")
    with pytest.raises(ConfigError, match="those of ResNet-56"):
        load_pretrained("resnet18", str(tmp_path / "a.th"))


def test_weights_of_this_net_that_do_not_fit_are_told_by_name(tmp_path) -> None:
    state = models.resnet18().state_dict()
    del state["layer2.0.conv1.weight"]
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(ConfigError, match="layer2.0.conv1.weight, of shape 128×64×3×3, is not in the file"):
        load_pretrained("resnet18", str(tmp_path / "a.pth"))


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
    picture = decode_picture(encode(draw())).pixels
    options = {"integrated-gradients": {"steps": 2}, "grad-cam": {"stage": 2}, "occlusion": {"window": 112}}
    for method, more in options.items():
        result = measure_picture(model, picture, method, **more)
        assert result.random and result.map.shape == (224, 224) and np.isfinite(result.map).all() and result.map.any()
        assert len(result.probabilities) == 5 and result.target_name == result.probabilities[0][0]
        assert result.probabilities[0][1] >= result.probabilities[4][1] > 0


def test_credit_of_torchvision_s_blocks_adds_up(model) -> None:
    picture = decode_picture(encode(draw())).pixels
    result = measure_picture_blocks(model, picture, "deep-lift")
    assert result.shortcut.shape == (8,) and result.completeness_error.max() < 0.01
    result = measure_picture_blocks(model, picture, steps=8)
    assert result.completeness_error.max() < 0.3
