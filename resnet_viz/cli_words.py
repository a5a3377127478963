"""What sentences on the command line call things: by its options, as one types them."""

from __future__ import annotations

import functools

from resnet_viz import text
from resnet_viz.cli_effects import AXES
from resnet_viz.cli_options import PLURALS, make_parser
from resnet_viz.records import ConfigError, Option, Words

CALLED = {"cuts": "--cut"}  # by another word than their field
FLAGS = {"skip": "--no-skip", "recompute": "--recompute"}  # that take no value


class OptionWords(Words):
    """The options' own spelling; what only a file can say keeps the name that it has there."""

    def name_field(self, field: str) -> str:
        return list_options().get(field, field)

    def point_at(self, option: Option) -> str:
        if option.field in FLAGS or isinstance(option.value, int):
            return FLAGS.get(option.field) or str(option.value)
        return f"{self.name_field(option.field)} {option.value}"


@functools.cache
def list_options() -> dict[str, str]:
    """The options of all commands, by their fields."""
    commands = make_parser()._subparsers._group_actions[0].choices.values()
    spellings = {spelling for command in commands for action in command._actions for spelling in action.option_strings}
    found = {spelling[2:].replace("-", "_"): spelling for spelling in sorted(spellings)}
    return found | {AXES + name: f"--{option}" for option, name in PLURALS.items()} | CALLED | FLAGS


def sentence(error: ConfigError) -> str:
    """What is wrong, in the reader's language, in the words of the command line."""
    return text.sentence(error, OptionWords())
