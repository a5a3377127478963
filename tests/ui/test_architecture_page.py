"""The page on architectures, on an open engine: its nets, its counts, its URL, and one's own net."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from resnet_viz.engine.hub import Hub
from resnet_viz.records import ConfigError
from resnet_viz.ui import choosing
from tests.pages import run_page


def open_page(**query: str) -> AppTest:
    return run_page("architecture", **query)


def words(page: AppTest) -> str:
    return "\n".join(item.value for item in (*page.markdown, *page.caption))


@pytest.mark.parametrize("language", ["en", "zh_CN"])
def test_page_runs_in_both_languages(engine: Hub, language: str) -> None:
    page = open_page(lang=language)
    assert not page.error
    assert [page.selectbox(key=f"arch.net{i}").value for i in range(3)] == ["vgg19", "plain34", "resnet34"]
    assert "nets" not in page.query_params


def test_the_numbers_are_the_paper_s(engine: Hub) -> None:
    """The totals to the digit, and the count to 34: what counts, what does not."""
    shown = words(open_page())
    assert all(number in shown for number in ("143,667,240", "21,623,848", "21,797,672", "19,632,062,464", "3,644,493,824",
                                              "3,663,761,408", "19.6 × 10⁹", "3.6 × 10⁹"))
    assert "1 + 2·(3 + 4 + 6 + 3) + 1 = 34" in shown
    assert "| 6 blocks of 2 layers | 256×14×14 | 6 × 2 = 12 | **27** |" in shown.replace("\u00a0", " ")
    assert "finds 37 convolutions and fully connected layers. Without the 3 projections there are 34" in shown


def test_another_net_is_counted(engine: Hub) -> None:
    page = open_page()
    page.selectbox(key="arch.net0").set_value("resnet50").run()
    page.segmented_control(key="arch.look").set_value("resnet50").run()
    assert page.query_params["nets"] == "resnet50,plain34,resnet34" and page.query_params["look"] == "resnet50"
    assert "1 + 3·(3 + 4 + 6 + 3) + 1 = 50" in words(page) and not page.exception


def test_what_slides_over_no_picture_has_no_kernel(engine: Hub) -> None:
    """Convolutions and poolings have a kernel and a stride in the table; BatchNorm and fully connected layers have none."""
    table = open_page(lang="en", nets="resnet18").dataframe[0].value
    sliding = table["kind"].isin(["convolution", "pooling"])
    assert 0 < sliding.sum() < len(table) and ((table["kernel"] != "") == sliding).all()
    assert ((table["stride"] != "") == sliding).all()


def test_url_is_the_page(engine: Hub) -> None:
    page = open_page(nets="own,cifar14", depth="32", width="8", shortcut="projection")
    assert (page.slider(key="own.depth").value, page.slider(key="own.width").value) == (32, 8)
    assert page.selectbox(key="arch.net1").value == "cifar14" and page.selectbox(key="arch.net2").value is None
    assert {name: page.query_params[name] for name in ("nets", "depth", "width", "shortcut")} == {
        "nets": "own,cifar14", "depth": "32", "width": "8", "shortcut": "projection"}


def test_ones_own_net_follows_its_sliders(engine: Hub) -> None:
    page = open_page(nets="own")
    assert "269,722 parameters" in words(page) and "can be trained here" in words(page)
    page.slider(key="own.depth").set_value(56).run()
    assert "853,018 parameters" in words(page) and "1 + 2·(9 + 9 + 9) + 1 = 56" in words(page)
    page.slider(key="own.width").set_value(128).run()
    assert "too large to be trained here" in words(page)
    page.segmented_control(key="own.family").set_value("dense").run()
    assert "1 + 2·9 + 1 = 20" in words(page) and not page.error and not page.exception
    assert page.query_params["family"] == "dense" and "depth" not in page.query_params


def test_a_depth_that_no_slider_gives_is_told(engine: Hub) -> None:
    page = open_page(nets="own")
    page.slider(key="own.depth").set_value(21).run()
    assert "nearest is 20" in page.error[0].value and "269,722 parameters" in words(page)


def test_where_one_looks_is_in_the_url(engine: Hub) -> None:
    page = open_page(nets="vgg19,resnet18", look="vgg19", step="24")
    assert page.segmented_control(key="arch.look").value == "vgg19" and page.select_slider(key="arch.step").value == 24
    assert {name: page.query_params[name] for name in ("look", "step")} == {"look": "vgg19", "step": "24"}
    page.segmented_control(key="arch.look").set_value("resnet18").run()
    assert page.select_slider(key="arch.step").value == 20, "ResNet-18 has no more: 18 layers, two poolings"
    assert "look" not in page.query_params and page.query_params["step"] == "20"


def test_a_forged_url_is_told_and_the_rest_works(engine: Hub) -> None:
    page = open_page(nets="resnet34,alexnet", depth="999", width="<b>", look="own", step="37")
    told = [error.value for error in page.error]
    assert len(told) == 4 and "alexnet" in told[0] and "Depth" in told[1] and "Net cannot be" in told[2] and "37" in told[3]
    assert page.selectbox(key="arch.net2").value == "resnet34" and not page.exception


@pytest.mark.parametrize("text", ["", "-1", "37", "1e3", "<b>", "²", "9" * 5000])
def test_bad_steps_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        choosing.read_step(text, 36)


@pytest.mark.parametrize("query", [{"family": "x"}, {"depth": "21"}, {"depth": "206"}, {"depth": "1e3"}, {"width": "0"},
                                   {"width": "129"}, {"width": "8,16"}, {"shortcut": "identity"}, {"depth": "²"}])
def test_bad_settings_of_one_s_own_net_are_refused(query: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        choosing.read_own(query)


@pytest.mark.parametrize("text", ["", ",", "vgg19,", "a,b,c,d", "vgg19,vgg16,vgg13,vgg11", "cifar21"])
def test_bad_names_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        choosing.read_names(text)


def test_a_picture_passes_by_hand_and_by_itself(engine: Hub) -> None:
    page = open_page(nets="resnet34")

    def strip() -> str:
        return next(item.proto.body for item in page.get("html") if "pass-strip" in item.proto.body)

    page.select_slider(key="arch.step").set_value(36).run()
    assert strip().count("class=lit") == 36 and "1,000 numbers" in strip()
    page.button(key="arch.play").click().run()
    assert 'class="pass pass-plays"' in strip()
    assert not page.select_slider, "none that stands at the end while the first layer is lit"
    page.button(key="arch.choose").click().run()
    assert page.select_slider(key="arch.step").value == 36, "the way ends at its end"
    page.select_slider(key="arch.step").set_value(2).run()
    assert 'class="pass"' in strip() and strip().count("class=lit") == 2


def test_no_net_is_told(engine: Hub) -> None:
    page = open_page(nets="resnet18")
    page.selectbox(key="arch.net0").set_value(None).run()
    assert page.info and not page.exception
