"""The one table: a row per run that has been trained, by its identity. `migrations/` makes it, and a test compares them."""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()

runs = sa.Table(
    "runs", metadata,
    sa.Column("identity", sa.String(64), primary_key=True),  # so that two servers agree: the first one's row stays
    sa.Column("code", sa.String(64), nullable=False),
    sa.Column("config", sa.JSON, nullable=False),  # flat settings
    sa.Column("train_loss", sa.Double),
    sa.Column("train_accuracy", sa.Double),
    sa.Column("test_loss", sa.Double),
    sa.Column("test_accuracy", sa.Double),
    sa.Column("diverged", sa.Boolean, nullable=False),
    sa.Column("taken", sa.Integer, nullable=False),  # steps
    sa.Column("seconds", sa.Double, nullable=False),
    sa.Column("finished", sa.String(32), nullable=False),  # ISO 8601, UTC, so that text order is order in time
    sa.Column("curves", sa.JSON, nullable=False),
    sa.Column("train_loss_recomputed", sa.Double),
    sa.Column("train_accuracy_recomputed", sa.Double),
    sa.Column("test_loss_recomputed", sa.Double),
    sa.Column("test_accuracy_recomputed", sa.Double),
    sa.Index("ix_runs_finished", "finished"),
)
