"""Words that a student may not know: a dotted line under each, and a sentence for whoever points, taps or tabs to it."""

from __future__ import annotations

import html

import streamlit as st

from resnet_viz.text import _


def explain_words() -> dict[str, tuple[str, str]]:
    """By key: the word as it stands on screen, and its sentence."""
    return {
        "lane": (_("lane"), _("One of the nets of a race, with the way it is trained.")),
        "stem": (_("stem"), _("The net’s first layer, before the first block: it makes a[1] of the input.")),
        "held-out": (_("held-out set"), _("Examples that are never trained on: they show whether what was learned holds "
                                          "for others, too.")),
        "bit": (_("to the bit"), _("Equal in every binary digit of every number, not only nearly.")),
        "W_s": ("W_s", _("A learned matrix on the shortcut: where a[l] and z[l+2] have different dimensions, W_s a[l] is "
                         "added instead of a[l].")),
        "r": ("r", _("r = ‖F‖ / ‖s‖: how large the branch’s output is beside the shortcut’s. At 0 the branch adds "
                     "nothing.")),
        "cosine": (_("cosine"), _("Of the angle between a block’s input and its output, as vectors: 1 where they have the "
                                  "same direction, 0 where they are at right angles.")),
        "conductance": (_("conductance"), _("How much of a class’s logit came through a part of the net, added up along "
                                            "the straight way from the baseline to the input.")),
    }


def show_words(*keys: str) -> None:
    """The words that this page uses, in a row."""
    words, title = explain_words(), _("Words on this page")
    marked = "".join(mark_word(*words[key]) for key in keys)
    st.html(f'<div class="rv-words" role="group" aria-label="{html.escape(title)}">{marked}</div>')


def mark_word(word: str, sentence: str) -> str:
    """A word of a text as HTML: whoever points at it, taps or tabs to it reads the sentence."""
    return (f'<span class="rv-word" tabindex="0">{html.escape(word)}'
            f'<span class="rv-meaning">{html.escape(sentence)}</span></span>')
