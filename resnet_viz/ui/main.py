"""The script that Streamlit runs for each page and each change of a widget: the pages, and what is the same on all."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from resnet_viz.engine.hub import BusyError, hub
from resnet_viz.text import LANGUAGES, _, choose_language, sentence, use_language
from resnet_viz.ui.views import block, decay, dimensions, operations, race
from resnet_viz.ui.session import start_session

ASSETS = Path(__file__).parents[2] / "assets"

st.set_page_config(page_title="ResNet Viz", page_icon=str(ASSETS / "icon.svg"), layout="wide",
                   initial_sidebar_state="auto")
if hub.loop is None:
    use_language(choose_language(st.context.locale))
    st.error(_("The engine is not running. Start the server with “streamlit run app.py”."))
    st.stop()
start_session()
st.html(ASSETS / "page.css")
pages = [
    st.Page(race.show_page, title=_("Race"), url_path="race", icon=":material/flag:", default=True),
    st.Page(block.show_page, title=_("One block"), url_path="block", icon=":material/search:"),
    st.Page(operations.show_page, title=_("Operations"), url_path="operations", icon=":material/healing:"),
    st.Page(decay.show_page, title=_("Weight decay"), url_path="decay", icon=":material/trending_down:"),
    st.Page(dimensions.show_page, title=_("Dimensions"), url_path="dimensions", icon=":material/straighten:"),
]
st.session_state["pages"] = {page.url_path or "race": page for page in pages}  # the default page's address is empty
page = st.navigation(pages, position="top")
with st.sidebar:
    st.segmented_control(_("Language"), list(LANGUAGES), format_func=LANGUAGES.get, key="language",
                         required=True, label_visibility="collapsed")
try:
    page.run()
except BusyError as error:
    st.error(sentence(error))
