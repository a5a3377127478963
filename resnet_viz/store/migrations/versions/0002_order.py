"""An index for browsing: the newest first."""

from __future__ import annotations

from alembic import op

revision, down_revision, branch_labels, depends_on = "0002", "0001", None, None


def upgrade() -> None:
    op.create_index("ix_runs_finished", "runs", ["finished"])


def downgrade() -> None:
    op.drop_index("ix_runs_finished", "runs")
