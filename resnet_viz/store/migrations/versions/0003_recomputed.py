"""Loss and accuracy with BatchNorm's statistics recomputed; of the runs there are, nobody has measured them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = "0003", "0002", None, None

COLUMNS = ("train_loss_recomputed", "train_accuracy_recomputed", "test_loss_recomputed", "test_accuracy_recomputed")


def upgrade() -> None:
    for name in COLUMNS:
        op.add_column("runs", sa.Column(name, sa.Double))


def downgrade() -> None:
    for name in COLUMNS:
        op.drop_column("runs", name)
