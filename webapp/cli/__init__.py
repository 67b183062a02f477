"""The `flask` commands, a module for each group: parse, call `model_training`, print."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click
import flask.cli

from webapp.cli.audit import audit_command
from webapp.cli.calibrate import calibrate_command
from webapp.cli.classifying.classify import classify_command
from webapp.cli.data import data_commands
from webapp.cli.export import export_command
from webapp.cli.models.explain import explain_command
from webapp.cli.models.manage import models_commands
from webapp.cli.models.sign import sign_command, verify_command
from webapp.cli.models.upgrade import upgrade_command
from webapp.cli.predict import predict_command
from webapp.cli.train import train_command
from webapp.cli.tuning.tune import tune_command

if TYPE_CHECKING:
    from flask import Flask

INTRODUCTION = (
    "Ten Classes: train networks that tell images apart, look after the trained models, and run "
    "the website that answers with them."
)
SECTIONS = {
    "Images to learn from": ("data",),
    "Models": ("train", "tune", "models", "predict", "classify", "calibrate", "export"),
    "The website": ("run", "feedback", "db"),
}
"""The commands in the order in which one meets them; those that are not named come last."""
FLASKS_OWN = ("routes", "shell", "limiter")
LAST_WORDS = (
    "`flask COMMAND --help` explains each. To begin: "
    "`flask train custom-cnn --limit 2000 --epochs 1` takes a minute, `flask run` shows the result."
)


def init_app(app: Flask) -> None:
    """Give `app` its commands, and `flask --help` the words for them."""
    app.cli.add_command(train_command)
    app.cli.add_command(tune_command)
    app.cli.add_command(models_commands)
    app.cli.add_command(calibrate_command)
    data_commands.add_command(audit_command)
    app.cli.add_command(data_commands)
    app.cli.add_command(export_command)
    app.cli.add_command(predict_command)
    app.cli.add_command(classify_command)
    models_commands.add_command(upgrade_command)
    models_commands.add_command(explain_command)
    models_commands.add_command(sign_command)
    models_commands.add_command(verify_command)
    if os.environ.get("FLASK_RUN_FROM_CLI") == "true":
        # Flask loads the app when it comes to list its commands, and has written an introduction
        # of its own by then.  What it writes last is a method that can still be ours.
        flask.cli.cli.format_epilog = write_help  # type: ignore[assignment, method-assign]


def write_help(context: click.Context, formatter: click.HelpFormatter) -> None:
    """Write the help of the whole `flask` command in place of what is written already."""
    group = context.command
    assert isinstance(group, click.Group)
    formatter.buffer.clear()
    group.format_usage(context, formatter)
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(INTRODUCTION)
    names = group.list_commands(context)
    known = {*FLASKS_OWN, *(name for section in SECTIONS.values() for name in section)}
    others = {"Others": tuple(name for name in names if name not in known)}
    # As wide in every section, so that the descriptions stand below each other.
    width = max(len(name) for name in names)
    for title, section in (SECTIONS | others | {"Flask's own": FLASKS_OWN}).items():
        commands = {name: group.get_command(context, name) for name in section if name in names}
        rows = [
            (name.ljust(width), command.get_short_help_str(formatter.width - width - 6))
            for name, command in commands.items()
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section(title):
                formatter.write_dl(rows)
    click.Command.format_options(group, context, formatter)
    formatter.write_paragraph()
    formatter.write_text(LAST_WORDS)
