"""What Alembic runs for every command: on the connection that it is given, or for a file of SQL."""

from __future__ import annotations

from alembic import context

from webapp.feedback.entry import Base
from webapp.feedback.schema import VERSION_TABLE

attributes = context.config.attributes
# SQLite's DDL is transactional too, where the driver does not commit before it (as ours is told).
if context.is_offline_mode():
    context.configure(
        dialect_name=attributes["dialect"], version_table=VERSION_TABLE, transactional_ddl=True
    )
else:
    context.configure(
        connection=attributes["connection"],
        target_metadata=Base.metadata,
        version_table=VERSION_TABLE,
        transactional_ddl=True,
    )
with context.begin_transaction():
    context.run_migrations()
