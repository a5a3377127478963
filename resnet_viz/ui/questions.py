"""The races of the pages that ask one question each: their lanes from what the page sets, and back."""

from __future__ import annotations

from dataclasses import replace

from resnet_viz.records import N_, ConfigError, Lane, RaceConfig, parse_field
from resnet_viz.ui.settings import Settings, check_value, read_race

# ---------------------------------------------------------------------------------------------------- weight decay

DECAY_BASE = Settings(depth=12, init="xavier", lr=0.02, steps=1000)  # without decay both nets learn
LAMBDAS = (0.0, 0.001, 0.01, 0.03)
KINDS = {"both": (True, False), "residual": (True,), "plain": (False,)}  # whether there are shortcuts


def make_decay_race(settings: Settings, lambdas: tuple[float, ...], kind: str) -> RaceConfig:
    """A lane for each λ, first of the residual net, then of the plain one."""
    lane = replace(settings, compare="skip", skips=(True, True)).make_lane(1)
    lanes = [Lane(replace(lane.net, skip=skip), replace(lane.train, weight_decay=value))
             for skip in KINDS[kind] for value in lambdas]
    return RaceConfig(settings.dataset, settings.seed, settings.steps, tuple(lanes))


def read_decay_race(config: RaceConfig) -> tuple[Settings, tuple[float, ...], str]:
    """What `make_decay_race` was given."""
    skips = [lane.net.skip for lane in config.lanes]
    kind = "both" if len(set(skips)) == 2 else "residual" if skips[0] else "plain"
    lambdas = tuple(lane.train.weight_decay for lane in config.lanes[: len(skips) // len(KINDS[kind])])
    settings = replace(read_race(config), compare="skip", first=None, skips=DECAY_BASE.skips, weight_decay=0.0)
    return settings, lambdas, kind


def is_decay_race(config: RaceConfig) -> bool:
    return not config.changes and not config.edits and make_decay_race(*read_decay_race(config)) == config


def read_lambdas(text: str) -> tuple[float, ...]:
    """One to four numbers with commas between. Raises `ConfigError`."""
    parts = [part.strip() for part in text.split(",")]
    values = tuple(parse_field("weight_decay", part) for part in parts)
    if not 1 <= len(values) <= 4 or len(set(values)) < len(values):
        raise ConfigError("lambdas", text, N_("one to four different numbers with commas between, such as {example}"),
                          example="0, 0.001, 0.01, 0.03")
    for value in values:
        check_value("weight_decay", value)
    return values
