"""The script that Streamlit runs for each page and each change of a widget: the race page."""

from __future__ import annotations

import streamlit as st

from resnet_viz.engine.hub import BusyError, hub
from resnet_viz.text import _, choose_language, sentence, use_language
from resnet_viz.ui.pages import race as race_page
from resnet_viz.ui.session import open_session

st.set_page_config(page_title="ResNet Viz", page_icon=":material/account_tree:", layout="wide",
                   initial_sidebar_state="auto")
if hub.loop is None:
    use_language(choose_language(st.context.locale))
    st.error(_("The engine is not running. Start the server with “streamlit run app.py”."))
    st.stop()
try:
    race = open_session()
except BusyError as error:
    st.error(sentence(error))
    st.stop()


def show_race() -> None:
    race_page.show_race(race)


pages = [st.Page(show_race, title=_("Race"), url_path="race", default=True)]
st.navigation(pages, position="hidden").run()
