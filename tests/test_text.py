"""Everything a user reads is in both languages: the catalogue is complete and sound, the language belongs to the
session, and the board takes its words, all of them and no others, from `board.words()`."""

import ast
import re
import string
import threading
from contextvars import copy_context
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from resnet_viz.export.player import write_words
from resnet_viz.records import ConfigError, NetConfig, RaceConfig
from resnet_viz.text import (
    LOCALE,
    _,
    choose_language,
    get_language,
    percent_sign,
    sentence,
    use_language,
    write_number,
    write_scientific,
)

ROOT = Path(__file__).parents[1]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SENTENCE = re.compile(r"[\"'`][^\"'`\n]*\b[a-z]{2,} [a-z]{2,}\b[^\"'`\n]*[\"'`]")  # a literal of two words or more


@pytest.fixture(scope="module")
def messages() -> set[str]:
    found = extract_from_dir(ROOT / "resnet_viz", [("**.py", "python")], keywords={"_": None, "N_": None})
    return {message for _file, _line, message, _comments, _context in found}


@pytest.fixture(scope="module")
def catalog():
    with (LOCALE / "zh_CN.po").open("rb") as file:
        return read_po(file, locale="zh_CN", abort_invalid=True)


@pytest.fixture(scope="module")
def translations(catalog) -> dict[str, str]:
    return {entry.id: entry.string for entry in catalog if entry.id}


@pytest.fixture(scope="module")
def board() -> str:
    """The board's code, without comments."""
    code = "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "assets" / "board").glob("*.js")))
    return re.sub(r"/\*.*?\*/|(?<!:)//[^\n]*", "", code, flags=re.S)


def say(language, call, *args):
    """What `call` returns to a session of this language."""
    def work():
        use_language(language)
        return call(*args)

    return copy_context().run(work)


def placeholders(text: str) -> set[str]:
    return {name for _text, name, _spec, _conversion in string.Formatter().parse(text) if name is not None}


def is_marked(node: ast.AST) -> bool:
    """Whether this is a call of `_` or `N_`."""
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("_", "N_")


# -- the catalogue


def test_every_message_is_translated_and_nothing_else(messages, translations):
    translated = {message for message, text in translations.items() if text.strip()}
    assert sorted(messages - translated) == []
    assert sorted(translations.keys() - messages) == []


def test_no_marked_text_is_overlooked(messages):
    """Babel does not look inside f-strings under Python 3.11; the parser does."""
    calls = [node for path in (ROOT / "resnet_viz").rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))
             if is_marked(node)]
    literal = {call.args[0].value for call in calls if isinstance(call.args[0], ast.Constant)}
    assert len(literal) > 1000 and sorted(literal - messages) == []


def test_nothing_is_fuzzy_or_obsolete(catalog):
    assert not catalog.fuzzy
    assert [entry.id for entry in catalog if entry.id and entry.fuzzy] == []
    assert list(catalog.obsolete) == []


def test_placeholders_are_kept(translations):
    changed = [message for message, text in translations.items() if placeholders(message) != placeholders(text)]
    assert changed == []


def test_translations_are_chinese(translations):
    latin = [text for text in translations.values() if not CHINESE.search(text)]
    assert [text for text in latin if len(re.findall("[A-Za-z]{2,}", text)) > 3] == []


def test_typography(translations):
    """Full-width punctuation, and a space between Chinese and what is not."""
    wrong = re.compile(r"[\u4e00-\u9fff][A-Za-z0-9{(,;:!?.]|[A-Za-z0-9}),;:!?][\u4e00-\u9fff]")
    assert [text for text in translations.values() if wrong.search(text)] == []


# What a Chinese teacher would not say, and what instead. Of two words for one thing, one is kept.
WORDS = {
    "手术": "操作", "损毁": "去掉分支; 去掉整个块", "输入层": "首层（stem）", "洼地": "局部低点", "向下弯": "负曲率",
    "现成的": "预设", "换种子": "换随机种子", "瞎猜": "随机猜测", "实验室": "本应用", "不是单一": "大小不为 1",
    "没有阻隔": "原样通过", "两个网络权重相同": "初始权重相同", "手写一个": "自己画一个",
    "按“": "点击“", "按下": "点击", "按一次": "点击", "单击": "点击",
}
TERMS = {
    "shortcuts?": "捷径", "held[ -]out": "留出", "conductance": "传导度", "stem": "首层（stem）", "cosine": "余弦",
    "baseline": "基线", "plain nets?": "普通网络", "residual nets?": "残差网络", "degradation": "退化",
    "gradients?": "梯度", "learning rate": "学习率", "training error": "训练误差", "ablation": "消融",
    "press": "点击", "initial weights": "初始", "effective length": "有效长度", "to the bit": "逐位",
    "ready sweeps?": "预设扫描", "hollows": "局部低点",
}


def test_one_chinese_word_for_one_thing(translations):
    for word in WORDS:
        assert [text for text in translations.values() if word in text] == [], word
    for term, word in TERMS.items():
        said = re.compile(rf"(?<![\w{{-]){term}(?![\w}}])", re.I)
        assert [text for message, text in translations.items() if said.search(message) and word not in text] == [], term


def test_chinese_numbers(translations):
    """9% without a space, 2.3×10⁻¹⁶ and no e, one full stop at the end of a sentence."""
    wrong = re.compile("[\\s\u00a0]%|\\de[-+]?\\d|[。，、；：]{2}|\\d [×] 10")
    assert [text for text in translations.values() if wrong.search(text)] == []


def test_numbers_that_are_filled_in():
    def write():
        return f"9{percent_sign()}", write_number(2.34e-16, 2), write_number(0.01234), write_scientific(12_345, 1)

    assert say("zh_CN", write) == ("9%", "2.3×10⁻¹⁶", "0.0123", "1.2×10⁴")
    assert say("en", write) == ("9 %", "2.3×10⁻¹⁶", "0.0123", "1.2×10⁴")


def test_no_code_writes_a_percent_sign_of_its_own(board):
    """In English a space stands before it, in Chinese none: `percent_sign` knows, and the board's `percentSign`."""
    found, spaced = [], re.compile("[ \u00a0]%(?![ \\w({%])")
    for path in (path for folder in ("ui", "figures", "export") for path in (ROOT / "resnet_viz" / folder).rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8"))
        marked = {node for call in ast.walk(tree) if is_marked(call) for node in ast.walk(call)}
        found += [(path.name, node.value) for node in set(ast.walk(tree)) - marked if isinstance(node, ast.Constant)
                  and isinstance(node.value, str) and spaced.search(node.value)]
    assert found == []
    assert re.findall(r" %[^ \n]+", board) == [' %");']  # that of percentSign


def test_chinese_that_is_filled_in_stands_without_spaces():
    def fill():
        return (_("{net}: {far} end with a higher training loss than {near}, in every seed: {high} against {low}; training "
                  "error {far_error} against {near_error}.").format(
                      net="普通网络", far="56 层", near="He", high=2, low=1, far_error="9%", near_error="1%"),
                _("{title} against {setting}: {count} runs so far. What they say stands below the charts.").format(
                    title="训练误差", setting="深度", count=8),
                _("{setting} {value}").format(setting="初始权重", value="默认"))

    error, title, value = say("zh_CN", fill)
    assert "普通网络（56 层）" in error and "高于 He（2 对 1）" in error
    assert title.startswith("训练误差随深度的变化：目前 8 次训练") and value == "初始权重 默认"
    assert say("en", fill)[2] == "初始权重 默认"


# -- the session's language


def test_an_error_is_told_in_the_sessions_language():
    with pytest.raises(ConfigError) as caught:
        NetConfig(depth=21)
    error = caught.value
    assert say("en", sentence, error) == str(error) and not CHINESE.search(str(error))
    told = say("zh_CN", sentence, error)
    assert CHINESE.search(told) and "21" in told and "2n+2" in told and "takes" not in told


def test_the_language_belongs_to_the_session():
    def elsewhere():
        heard = []
        thread = threading.Thread(target=lambda: heard.append((get_language(), _("Pause"))))
        thread.start()
        thread.join()
        return _("Pause"), heard

    assert say("zh_CN", elsewhere) == ("暂停", [("en", "Pause")])
    assert get_language() == "en"
    assert say("xx", get_language) == "en"


@pytest.mark.parametrize(("locale", "language"), [
    ("zh-CN", "zh_CN"), ("zh-Hans-CN", "zh_CN"), ("ZH_tw", "zh_CN"), ("zh", "zh_CN"),
    ("en-GB", "en"), ("de", "en"), ("", "en"), (None, "en"),
])
def test_choose_language(locale, language):
    assert choose_language(locale) == language


# -- the board's words


def test_the_board_uses_the_words_there_are(board):
    """`text.KEY`, `text["KEY"]` and `text[condition ? "KEY" : "KEY"]`."""
    used = set(re.findall(r"\btext\.([A-Za-z]\w*)", board))
    for index in re.findall(r"\btext\[([^\]`]*)\]", board):
        used |= set(re.findall(r'(?:^|[?:])\s*"(\w+)"', index))
    assert len(used) > 20
    assert sorted(used - write_words(RaceConfig(), dict).keys()) == []


def test_no_word_is_made_in_vain(board):
    """A word is named in full, as a literal or a property, or by a template such as `${id}_title`."""
    templates = [re.sub(r"\$\{[^}]*\}", r"\\w+", part) for part in re.findall(r"\btext\[`([^`]+)`\]", board)]
    named = set(re.findall(r"\btext\.(\w+)|\"(\w+)\"|\b(\w+):", board))
    named = {name for names in named for name in names}
    page = (ROOT / "resnet_viz" / "export" / "player.py").read_text(encoding="utf-8")
    named |= set(re.findall(r'data-text="(\w+)"', page))
    keys = write_words(RaceConfig(), dict)
    vain = [key for key in keys if key not in named and not any(re.fullmatch(t, key) for t in templates)]
    assert vain == []


def test_the_board_has_no_sentences_of_its_own(board):
    assert [text for text in SENTENCE.findall(board) if "rv-" not in text] == []


# -- numbers


@pytest.mark.parametrize(("value", "digits", "expected"), [
    (1.5e-6, 2, "1.5×10⁻⁶"), (2.3e-16, 2, "2.3×10⁻¹⁶"), (0.0421, 3, "0.0421"), (0, 3, "0"), (99.7, 2, "100"),
    (12_340, 3, "12,340"), (1e5, 3, "1×10⁵"), (-2.5e12, 2, "-2.5×10¹²"), (float("nan"), 3, "–"), (float("inf"), 3, "∞")])
def test_a_number_has_powers_of_ten_as_a_reader_knows_them(value: float, digits: int, expected: str):
    assert write_number(value, digits) == expected


def test_no_number_is_shown_with_an_e():
    """Formats that give 1.5e-06, in Python and in charts’ hover, are in no page, figure or report."""
    places = [*(ROOT / "resnet_viz" / "ui").rglob("*.py"), *(ROOT / "resnet_viz" / "figures").rglob("*.py"),
              ROOT / "resnet_viz" / "export" / "report.py"]
    exponents = {path.name: re.findall(r":[+z,-]*\.\d+[ge]\}", path.read_text(encoding="utf-8")) for path in places}
    assert {name: found for name, found in exponents.items() if found} == {
        "equations.py": [":.2e}"]}  # taken apart
