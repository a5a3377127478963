"""Words that a student may not know: each page's row of them, in both languages."""

from __future__ import annotations

import re

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.text import call_in
from resnet_viz.ui.glossary import explain_words, mark_word

SCRIPT = """
from resnet_viz.text import use_language
from resnet_viz.ui.glossary import explain_words, show_words

use_language("{language}")
show_words(*explain_words())
"""
KEYS = ["lane", "stem", "held-out", "bit", "W_s", "r", "cosine", "conductance"]


@pytest.mark.parametrize(("language", "words"), [
    ("en", ["lane", "stem", "held-out set", "to the bit", "W_s", "r", "cosine", "conductance"]),
    ("zh_CN", ["对比训练", "首层（stem）", "留出集", "逐位相同", "W_s", "r", "余弦", "传导度"]),
])
def test_each_word_can_be_reached_and_has_its_sentence(language: str, words: list[str]) -> None:
    assert [word for word, _sentence in call_in(language, explain_words).values()] == words
    row = AppTest.from_string(SCRIPT.format(language=language)).run().get("html")[0].proto.body
    marked = re.findall(r'"rv-word" tabindex="0">(.*?)<span class="rv-meaning">(.*?)</span>', row)
    assert [word for word, _sentence in marked] == words and all(len(sentence) > 15 for _word, sentence in marked)


def test_the_words_are_those_of_the_lessons() -> None:
    assert list(explain_words()) == KEYS
    assert mark_word("a < b", "“&”") == ('<span class="rv-word" tabindex="0">a &lt; b'
                                         '<span class="rv-meaning">“&amp;”</span></span>')
