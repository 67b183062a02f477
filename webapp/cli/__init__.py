"""The `flask` commands, a module for each group: parse, call `model_training`, print."""

from __future__ import annotations

from typing import TYPE_CHECKING

from webapp.cli.audit import audit_command
from webapp.cli.calibrate import calibrate_command
from webapp.cli.data import data_commands
from webapp.cli.export import export_command
from webapp.cli.predict import predict_command
from webapp.cli.train import train_command

if TYPE_CHECKING:
    from flask import Flask


def init_app(app: Flask) -> None:
    """Give `app` its commands."""
    app.cli.add_command(train_command)
    app.cli.add_command(calibrate_command)
    data_commands.add_command(audit_command)
    app.cli.add_command(data_commands)
    app.cli.add_command(export_command)
    app.cli.add_command(predict_command)
