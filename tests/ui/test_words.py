"""Sentences on pages speak the words that are on screen, in both languages: no id of a link or a record."""

from __future__ import annotations

import ast
import re
from contextvars import copy_context
from pathlib import Path

import pytest

from resnet_viz import records
from resnet_viz.records import ConfigError, DataShape, NetConfig, Operation, Option, check_operation, check_view
from resnet_viz.text import _, use_language
from resnet_viz.ui import crediting, opening, questions, settings, studies, terrain, words
from resnet_viz.ui.controls import OPTIONS, label_fields, label_options
from resnet_viz.ui.views import gradients, paths

ROOT = Path(__file__).parents[2] / "resnet_viz"
FOLDERS = ("records", "lab", "ui", "store")
CHECKS = ("ConfigError", "RuleError", "check_choice", "check_whole", "check_number", "check_flag")
SYMBOLS = {"n", "f", "p", "s"}  # of a convolution: on screen as they are
CHOSEN = {  # fields that code passes on by a name it was given
    *settings.DEFAULTS.__dataclass_fields__, *studies.DEFAULTS, *gradients.DEFAULTS, *crediting.READERS,
    *(f"landscape.{name}" for name in terrain.DEFAULTS), *(f"paths.{name}" for name in paths.DEFAULTS),
    *opening.Opening.__dataclass_fields__, *questions.Sizes.__dataclass_fields__}
CHOICES = OPTIONS | {
    "operation": records.OPERATIONS, "method": (*records.CREDIT_METHODS, *records.MAP_METHODS), "case": opening.CASES,
    "study": studies.KINDS, "kind": questions.KINDS, "baseline": records.BASELINES, "way": questions.LEARNED,
    "compare": settings.COMPARABLE, "net": records.ARCHITECTURES, **gradients.SETS,
    **{f"landscape.{name}": terrain.SETS[name] for name in ("plane", "part", "statistics", "view")}}


def in_language(language: str, call, *args):
    def work():
        use_language(language)
        return call(*args)

    return copy_context().run(work)


def tell(language: str, make, *args) -> str:
    with pytest.raises(ConfigError) as caught:
        make(*args)
    return in_language(language, words.sentence, caught.value)


@pytest.mark.parametrize(("make", "chinese", "english"), [
    (lambda: NetConfig(width=(16, 32)), "维度不一致，不能用恒等捷径；请选“补零”或 W_s。",
     "The dimensions differ, so there can be no identity shortcut: choose “Zero padding” or W_s."),
    (lambda: check_operation(Operation("cut-shortcut", 0), NetConfig(skip=False)), "普通网络没有捷径可切断。",
     "A plain net has no shortcut to cut."),
    (lambda: NetConfig(depth=21), "深度不能是 21：层数须为 2n+2，最接近的是 22。",
     "Depth cannot be 21: it takes 2n+2 layers with weights; the nearest is 22."),
    (lambda: check_operation(Operation("zero-norm", 0), NetConfig()),
     "没有 BatchNorm，“γ 和 β 置零”无从谈起；请选“W 和 b 置零”。",
     "There is no BatchNorm, so “Zero γ and β” has nothing to do: choose “Zero W and b”."),
    (lambda: NetConfig(norm="layer"), "归一化不能是“layer”。要求：无归一化、BatchNorm 之一。",
     "Normalisation cannot be “layer”: it takes one of No normalisation, BatchNorm."),
    (lambda: check_view(NetConfig(depth=8), DataShape((2,), 2), 3, 0, False), "块不能是 4。要求：1 到 3 之间的整数。",
     "Block cannot be 4: it takes a whole number from 1 to 3."),
])
def test_sentences_speak_the_words_on_screen(make, chinese: str, english: str) -> None:
    assert tell("zh_CN", make) == chinese and tell("en", make) == english


def find_calls() -> list[ast.Call]:
    """Every place outside the command line where a value is refused."""
    return [node for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") in CHECKS]


def test_every_field_has_a_name_on_screen_in_both_languages() -> None:
    literal = {call.args[0].value for call in find_calls() if call.args and isinstance(call.args[0], ast.Constant)}
    assert len(literal) > 30
    for language in ("en", "zh_CN"):
        names = {field: in_language(language, words.PageWords().name_field, field) for field in literal | CHOSEN}
        assert [field for field, name in names.items() if name == field and field not in SYMBOLS] == []


def test_every_choice_has_a_name_on_screen_in_both_languages() -> None:
    for language in ("en", "zh_CN"):
        for field, values in CHOICES.items():
            for value in values:
                name = in_language(language, words.PageWords().name_option, field, value)
                assert name != value or value == "tanh", (field, value)
                spoken = in_language(language, words.PageWords().point_at, Option(field, value))
                assert spoken not in (value, f"“{value}”") or value == "tanh"


def list_vocabulary() -> set[str]:
    """The Latin words that labels in Chinese have: names such as BatchNorm, and symbols."""
    def read() -> str:
        choices = [label for labels in words.label_choices().values() for label in labels.values()]
        nets = [words.name_net(name) for name in records.ARCHITECTURES]
        fields = [*label_fields().values(), *words.label_more().values(), *label_options().values()]
        return " ".join([*fields, *choices, *nets])

    return set(re.findall("[A-Za-z_]+", in_language("zh_CN", read)))


def test_no_sentence_has_an_id_in_its_own_words() -> None:
    """What a refusal says of its own, in Chinese: Latin are only names that labels have, symbols and files' endings."""
    templates = {part.args[0].value for call in find_calls() for part in ast.walk(call)
                 if isinstance(part, ast.Call) and getattr(part.func, "id", "") == "N_"}
    assert len(templates) > 20
    known = list_vocabulary() | {"l", "W", "a", "g", "stem", "MB", "PNG", "JPEG", "CIFAR", "Grad", "CAM", "URL", "JSON",
                                 "UTF", "safetensors", "state", "dict", "true", "false"}
    for template in templates:
        told = re.sub(r"\{[^}]*\}", "", in_language("zh_CN", _, template))
        if "sqlite" not in told:  # a database's address is typed as it is
            assert set(re.findall("[A-Za-z_]+", told)) <= known, told


def test_pages_take_the_sentences_of_the_screen() -> None:
    """No module of the pages tells an error by `text.sentence`, which speaks in ids."""
    takes = [path.name for path in (ROOT / "ui").rglob("*.py") if re.search(r"resnet_viz\.text import.*\bsentence\b",
                                                                            path.read_text("utf-8"))]
    assert takes == []
