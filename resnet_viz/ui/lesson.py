"""The lesson beside the race: the data, the words and formulas, and the source of the nets."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import streamlit as st

from resnet_viz.figures.examples import draw_examples
from resnet_viz.records import Examples, RaceConfig
from resnet_viz.text import _
from resnet_viz.ui.progress import ask, ask_examples

EXAMPLES = 600
LAB = Path(__file__).parents[1] / "lab"
COMPARED = "tests/lab/test_dense.py", "test_hand_written_equals_autograd"  # where both codes are held to be one


def show_lesson(config: RaceConfig) -> None:
    """Folded away, and drawn when somebody asks: formulas and code bring a second's worth of scripts to each browser."""

    def show_data() -> None:
        ask([ask_examples(config.dataset, EXAMPLES)], "examples", lambda job: show_examples(config.dataset, *job.results))

    parts = {
        "data": (_("The data"), ":material/grid_view:", show_data),
        "lesson": (_("What am I looking at?"), ":material/school:", show_words),
        "code": (_("The code of a block"), ":material/code:",
                 lambda: show_code(any(lane.net.by_hand for lane in config.lanes))),
    }
    for key, (label, icon, show) in parts.items():
        folded = st.expander(label, icon=icon, on_change="rerun", key=f"show_{key}")
        if folded.open:
            with folded:
                show()


def show_words() -> None:
    st.markdown(_("A block is two layers. In the plain net its output is"))
    st.latex(r"a^{[l+2]} = g\big(z^{[l+2]}\big), \qquad z^{[l+2]} = W^{[l+2]} a^{[l+1]} + b^{[l+2]}")
    st.markdown(_("The residual net adds what came in, on a shortcut past both layers:"))
    st.latex(r"a^{[l+2]} = g\big(z^{[l+2]} + a^{[l]}\big)")
    st.markdown(_("If W[l+2] and b[l+2] are 0, ReLU leaves a[l+2] = a[l]: the block is the identity. That is easy to "
                  "reach, so one more block need do no harm; and what it learns can help."))
    st.markdown(_("**What to look for.** With PyTorch’s default initial weights, the gradient of the plain net shrinks "
                  "about sixfold from block to block on its way to the input; in twenty layers ten-million-fold. Its "
                  "first layers hear nothing, and it stays at chance. In the residual net the gradient reaches "
                  "the first layers about as large as it left the last."))
    st.markdown(_("**What not to conclude.** This is vanishing, and shortcuts are not its only cure: BatchNorm is one, "
                  "AdamW helps, and so do He’s initial weights with a smaller learning rate, such as 0.01; at 0.05 "
                  "they hardly do. Degradation is another failure: deep plain nets whose gradients do not vanish still "
                  "reach a higher *training* error than shallow ones. Choose a convolutional net of depth 56 to see "
                  "it; with BatchNorm its gradients begin by growing towards the input."))


def show_code(by_hand: bool) -> None:
    """What trains, word for word: the block, and where a net has it the chain rule that is written out."""
    if not by_hand:
        st.markdown(_("This is what trains, word for word; autograd makes the backward pass of it."))
        st.code(read_block_source(), language="python")
        return
    st.markdown(_("This is the block, word for word, as it is measured, cut and operated on."))
    st.code(read_block_source(), language="python")
    st.markdown(_("A dense net without normalisation, with ReLU after the sum, is trained by the same formulas written "
                  "out with the chain rule, in less than half the time. That both give the same numbers, loss, "
                  "activations and gradients, is tested: `{test}` in `{file}`.").format(test=COMPARED[1], file=COMPARED[0]))
    st.code(read_chain_rule(), language="python")


def show_examples(dataset: str, examples: Examples | None) -> None:
    if examples is not None:
        st.plotly_chart(draw_examples(examples), key=f"examples.{dataset}")


def read_block_source() -> str:
    """The class `Block`, as it stands in the file."""
    return cut(LAB / "nets.py", r"^class Block\(.*?(?=^class )")


def read_chain_rule() -> str:
    """The two passes of `HandWritten`, as they stand in the file."""
    return textwrap.dedent(cut(LAB / "dense.py", r"^    def run_forward\(.*"))


def cut(path: Path, pattern: str) -> str:
    """The part of a file that a pattern finds."""
    return re.search(pattern, path.read_text(encoding="utf-8"), re.M | re.S).group().rstrip()
