"""Every network that can be trained by name: one module for each family of networks.

A recipe is data, with a function that builds the network.  To add recipes, add a module to this
folder: `registry` finds them, and says what is wrong with any that it leaves out.
"""

from __future__ import annotations

import sys

from model_training.networks.pretrained import Pretrained
from model_training.recipes.phase import (
    DropoutSchedule,
    EarlyStopping,
    Lookahead,
    Optimizer,
    Phase,
    Plateau,
    Schedule,
)
from model_training.recipes.recipe import Recipe, Reported, Use
from model_training.recipes.registry import UnknownRecipe, find_recipes
from model_training.recipes.space import Choice, Range, Space, Tuned

__all__ = [
    "FOUND",
    "RECIPES",
    "Choice",
    "DropoutSchedule",
    "EarlyStopping",
    "Lookahead",
    "Optimizer",
    "Phase",
    "Plateau",
    "Pretrained",
    "Range",
    "Recipe",
    "Reported",
    "Schedule",
    "Space",
    "Tuned",
    "UnknownRecipe",
    "Use",
    "find_recipe",
]

# Last, because the modules of recipes import the names above from here.
FOUND = find_recipes(sys.modules[__name__])
RECIPES = FOUND.recipes
find_recipe = FOUND.find
