"""A brought picture and brought weights on the page of credit, without an engine: what a worker does is done here."""

from __future__ import annotations

import importlib
import io
import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image
from streamlit.testing.v1 import AppTest
from torchvision import models

from resnet_viz.engine.hub import hub

MB = 2**20


def show() -> None:
    """The section alone, with what `session` has of the link."""
    import streamlit as st

    from resnet_viz.text import use_language
    from resnet_viz.ui.brought import show_brought
    from resnet_viz.ui.crediting import ASKED, Crediting

    use_language(st.session_state.language)
    st.session_state.setdefault(ASKED, Crediting(picture_weights="file", picture_target=700))
    show_brought()


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    def run(name: str, *arguments: object) -> Callable:
        module, _, function = name.rpartition(".")
        return lambda: getattr(importlib.import_module(f"resnet_viz.lab.{module}"), function)(*arguments)

    monkeypatch.setattr(hub, "demonstrate", run)
    monkeypatch.setattr(hub, "call", lambda work: work())
    page = AppTest.from_function(show, default_timeout=120)
    page.session_state["language"] = "en"
    return bring(page.run(), "a.png", encode())


def encode(image: Image.Image | None = None) -> bytes:
    out = io.BytesIO()
    (image or Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))).save(out, "PNG")
    return out.getvalue()


def bring(page: AppTest, name: str, data: bytes, where: str = "picture") -> AppTest:
    page.file_uploader(key=f"credit.{where}-file").set_value((name, data, "application/octet-stream")).run()
    assert not page.exception
    return page


def save(content: object) -> bytes:
    out = io.BytesIO()
    torch.save(content, out)
    return out.getvalue()


def can_look(page: AppTest) -> bool:
    return any(button.key == "credit.look" for button in page.button)


class Trap:
    def __reduce__(self) -> tuple:
        return pytest.fail, ("a file was run",)


def test_weights_that_cannot_be_used_are_told_at_once_by_their_cause(page: AppTest) -> None:
    """By the file's own name, not the server's; code is not run; nothing is offered that would fail."""
    deeper = save(models.resnet34().state_dict())
    causes = {"pickle.pt": (pickle.dumps(Trap()), "could run code"), "34.pth": (deeper, "those of ResNet-34"),
              "page.bin": (b"<html>", "is a web page"), "half.th": (deeper[:MB], "ends before")}
    for name, (data, words) in causes.items():
        bring(page, name, data, "weights")
        [told] = [item.value for item in page.error]
        assert name in told and words in told and "resnet-viz-" not in told and not can_look(page)
    page.session_state["language"] = "zh_CN"
    assert "中断" in page.run().error[0].value


def test_a_net_of_few_classes_is_asked_about_them_by_number(page: AppTest) -> None:
    """A trainer's checkpoint, whose last layer says how many; the link asks for a class that it has not."""
    state = {f"module.{name}": part for name, part in models.resnet18(num_classes=4).state_dict().items()}
    bring(page, "best.pth.tar", save({"state_dict": state, "epoch": 90}), "weights")
    assert not page.error and can_look(page)
    chosen = page.selectbox(key="credit.picture_target")
    assert chosen.options == ["The likeliest", "0", "1", "2", "3"] and chosen.value == "none"


def test_a_picture_of_12_bits_says_how_it_was_read(page: AppTest) -> None:
    bring(page, "cells.png", encode(Image.fromarray(np.full((60, 80), 4095, np.uint16))))
    assert any("12-bit data, 16 times as bright" in item.value for item in page.info)


def test_what_is_no_picture_is_named(page: AppTest) -> None:
    bring(page, "a.png", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert "a.png" in page.error[0].value and "is HEIC, as phones save it" in page.error[0].value
