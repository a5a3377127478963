"""What Alembic runs: the migrations on the connection that `runs.migrate` gives it, or, from its own command line, on

that of RESNET_VIZ_DATABASE.
"""

from __future__ import annotations

import os

from alembic import context

from resnet_viz.store.runs import DATABASE_VARIABLE, DEFAULT_FILE, make_engine, read_url
from resnet_viz.store.tables import metadata


def run(connection: object) -> None:
    context.configure(connection=connection, target_metadata=metadata)
    with context.begin_transaction():
        context.run_migrations()


if (given := context.config.attributes.get("connection")) is not None:
    run(given)
else:
    with make_engine(read_url(os.environ.get(DATABASE_VARIABLE) or f"sqlite:///{DEFAULT_FILE}")).begin() as opened:
        run(opened)
