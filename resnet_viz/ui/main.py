"""The script that Streamlit runs for each page and each change of a widget: the pages, and what is the same on all."""

from __future__ import annotations

import logging
from pathlib import Path

import streamlit as st

from resnet_viz.engine.hub import hub
from resnet_viz.records import ConfigError
from resnet_viz.text import LANGUAGES, _, choose_language, get_language, use_language
from resnet_viz.ui.session import name_visitor, return_to, start_session, translate_choices
from resnet_viz.ui.views import (
    architecture,
    block,
    credit,
    decay,
    dimensions,
    gradients,
    landscape,
    operations,
    paths,
    race,
    runs,
    sweep,
)
from resnet_viz.ui.words import sentence

logger = logging.getLogger(__name__)
ASSETS = Path(__file__).parents[2] / "assets"

mend_markup = st.components.v2.component("resnet_viz_markup", isolate_styles=False,
                                         js=(ASSETS / "markup.js").read_text(encoding="utf-8"))

st.set_page_config(page_title="ResNet Viz", page_icon=str(ASSETS / "icon.svg"), layout="wide",
                   initial_sidebar_state="auto")
hub.name_visitor = name_visitor
if hub.loop is None:
    use_language(choose_language(st.context.locale))
    st.error(_("The engine is not running. Start the server with “streamlit run app.py”."))
    st.stop()
start_session()
st.html(ASSETS / "page.css")
with st.container(key="language-of-the-page"):  # for screen readers, and for the shapes of Chinese signs
    mend_markup(key="markup", data={"text": {"code": _("Code, wider than the page"),
                                             "table": _("A table, wider than the page"),
                                             "formula": _("A formula, wider than the page")}})
    language, theme = get_language().replace("_", "-"), "dark" if st.context.theme.type == "dark" else "light"
    st.html(f"""<script>Object.assign(document.documentElement, {{ lang: "{language}" }}).style.colorScheme = "{theme}"
            </script>""", unsafe_allow_javascript=True)  # popovers stand outside of what Streamlit calls dark
sections = {
    "": [st.Page(race.show_page, title=_("Race"), url_path="race", icon=":material/flag:", default=True)],
    _("Surgery"): [
        st.Page(block.show_page, title=_("One block"), url_path="block", icon=":material/search:"),
        st.Page(operations.show_page, title=_("Operations"), url_path="operations", icon=":material/healing:"),
        st.Page(decay.show_page, title=_("Weight decay"), url_path="decay", icon=":material/trending_down:"),
        st.Page(dimensions.show_page, title=_("Dimensions"), url_path="dimensions", icon=":material/straighten:"),
    ],
    _("Why it works"): [
        st.Page(credit.show_page, title=_("Credit"), url_path="credit", icon=":material/balance:"),
        st.Page(paths.show_page, title=_("Paths"), url_path="paths", icon=":material/account_tree:"),
        st.Page(gradients.show_page, title=_("Gradients"), url_path="gradients", icon=":material/show_chart:"),
        st.Page(landscape.show_page, title=_("Loss landscape"), url_path="landscape", icon=":material/landscape:"),
    ],
    _("Depth"): [
        st.Page(sweep.show_page, title=_("Sweep"), url_path="sweep", icon=":material/grid_on:"),
        st.Page(runs.show_page, title=_("Runs"), url_path="runs", icon=":material/inventory_2:"),
        st.Page(architecture.show_page, title=_("Architectures"), url_path="architecture", icon=":material/layers:"),
    ],
}
st.session_state["pages"] = {page.url_path or "race": page for pages in sections.values() for page in pages}
page = st.navigation(sections, position="top")  # the default page's address is empty
with st.sidebar:
    st.segmented_control(_("Language"), list(LANGUAGES), format_func=LANGUAGES.get, key="language",
                         required=True, label_visibility="collapsed", on_change=translate_choices)
return_to(page.url_path or "race")
try:
    page.run()
except ConfigError as error:
    st.error(sentence(error))
except TimeoutError:
    st.error(_("The server has much to do just now and did not answer in time. What you asked for goes on; reload the page "
               "in a minute."))
except Exception:
    logger.exception("The page %s failed", page.url_path or "race")
    st.error(_("Something went wrong on the server; it has been noted there. Reload the page. Races that run go on."))
