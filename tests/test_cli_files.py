"""Text files as people have them: a byte-order mark, UTF-16, broken JSON, the same name twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from resnet_viz.cli import main
from resnet_viz.cli_options import make_parser
from resnet_viz.cli_sweep import read_sweep
from resnet_viz.records import ConfigError, Operation, RaceConfig
from resnet_viz.ui.settings import read_operation

COMMANDS = ("train", "info", "sweep", "export", "gradients")  # whose --config is read in each way there is


def refuse(capsys: pytest.CaptureFixture, command: str, path: Path) -> str:
    what = ["--what", "config", "--output", str(path.parent / "out")] if command == "export" else []
    assert main([command, "--config", str(path), *what, "--json"]) == 2
    out, told = capsys.readouterr()
    assert out == "" and told.count("\n") == 1
    return told


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_is_no_part_of_a_file(capsys, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "small.json"
    path.write_text('{"depth": 4}', encoding=encoding)
    assert main(["info", "--config", str(path), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["layers"]) == 4
    assert main(["export", "--config", str(path), "--what", "config", "--output", str(tmp_path / "out")]) == 0
    path.write_text('{"base": {"steps": 3}, "axes": {"depth": [4, 6]}}', encoding=encoding)
    assert len(read_sweep(make_parser().parse_args(["sweep", "--config", str(path)])).list_runs()) == 2


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(("content", "told"), [
    ('{"depth": 4}'.encode("utf-16"), "--config a file.json is in UTF-16, not in UTF-8: save it as UTF-8.\n"),
    ('{"depth": 4}'.encode("utf-16-be"), "--config a file.json is in UTF-16, not in UTF-8: save it as UTF-8.\n"),
    ('{"depth": "四"}'.encode("gbk"), "--config a file.json is not in UTF-8, at byte 12: save it as UTF-8.\n"),
    (b'{"depth": 4,\r\n "steps" 3}', "--config a file.json is not valid JSON at line 2, column 10: a colon is missing.\n"),
    (b'{"depth": 4',
     "--config a file.json is not valid JSON at line 1, column 12: a comma, or a closing bracket or brace, is missing.\n"),
    (b'{"depth": NaN}', "--config a file.json is not valid JSON: NaN is not JSON.\n"),
    (b'{"depth": 4, "steps": 3, "depth": 8}', "--config a file.json says “depth” twice: 4 and 8. Only one can be meant.\n"),
])
def test_a_file_that_cannot_be_read_is_named_with_the_place(capsys, tmp_path: Path, command: str, content: bytes,
                                                            told: str) -> None:
    path = tmp_path / "a file.json"
    path.write_bytes(content)
    assert refuse(capsys, command, path) == told


@pytest.mark.parametrize(("command", "content", "told"), [
    ("train", '{"batch-size": 4, "batch_size": 8}',
     "“batch-size” and “batch_size” are one setting: only one can be meant.\n"),
    ("sweep", '{"axes": {"batch-size": [4], "batch_size": [8]}}',
     "“batch-size” and “batch_size” are one setting: only one can be meant.\n"),
    ("sweep", '{"base": {"depth": 4}, "axes": {"depth": [4, 6]}}',
     "“depth” stands both in base and in axes: only one can be meant.\n")])
def test_one_setting_by_two_names_is_refused(capsys, tmp_path: Path, command: str, content: str, told: str) -> None:
    path = tmp_path / "twice.json"
    path.write_text(content)
    assert refuse(capsys, command, path) == told


def test_it_is_told_in_chinese(capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    path = tmp_path / "a.json"
    path.write_bytes(b'{"depth": 4,\n "steps" 3}')
    assert refuse(capsys, "info", path) == "--config a.json 第 2 行第 10 列不是有效的 JSON：缺少冒号。\n"


def test_a_factor_that_is_not_said_is_not_0() -> None:
    """Neither in a race's file nor in a link."""
    lane = {"net": {"depth": 8}}
    race = {"lanes": [lane], "edits": [{"step": 1, "lane": 0, "operation": {"kind": "scale", "block": 1}}]}
    with pytest.raises(ConfigError, match="alpha"):
        RaceConfig.from_json(json.dumps(race))
    with pytest.raises(ConfigError):
        read_operation("scale:1")
    assert read_operation("scale:1:0.5") == Operation("scale", 1, 0.5)
