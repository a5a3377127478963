"""What Alembic runs: the migrations, on the connection that `runs.migrate` gives it."""

from __future__ import annotations

from alembic import context

from resnet_viz.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
