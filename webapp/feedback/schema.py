"""The tables, made and changed by Alembic's migrations; each process looks at them once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from sqlalchemy import Connection, column, inspect, select, table

from webapp.feedback.entry import Entry

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATIONS = Path(__file__).with_name("migrations")
FIRST, HEAD = "0001", "0002"
VERSION_TABLE = "feedback_version"


def version(connection: Connection) -> str | None:
    """Return the version of the tables, or None where there are none.

    A table without a version was made before there were migrations, and is of the first.
    """
    inspector = inspect(connection)
    if inspector.has_table(VERSION_TABLE):
        return connection.scalar(select(column("version_num")).select_from(table(VERSION_TABLE)))
    return FIRST if inspector.has_table(Entry.__tablename__) else None


def upgrade(connection: Connection) -> None:
    """Bring the tables to the newest version, in the transaction of `connection`."""
    # Here, because a site whose tables are right never needs Alembic's 11 MB.
    from alembic import command

    config = _config()
    config.attributes["connection"] = connection
    if version(connection) == FIRST and not inspect(connection).has_table(VERSION_TABLE):
        command.stamp(config, FIRST)
    command.upgrade(config, "head")


def write_sql(dialect: str, output: TextIO) -> None:
    """Write the statements that make the tables of the newest version, for `dialect`."""
    from alembic import command

    config = _config(output)
    config.attributes["dialect"] = dialect
    command.upgrade(config, "head", sql=True)


def _config(output: TextIO | None = None) -> Config:
    from alembic.config import Config

    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    return config
