"""The registry of recipes, which finds them in the modules of this package and of packages in it.

A module's recipes are the `Recipe`s that have a name at its top level, alone or in a tuple or a
list; names that begin with an underscore are private.  A module should import Keras inside its
`build`: every command and every start of the site imports the module.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import pkgutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from model_training.recipes.recipe import Recipe

_log = logging.getLogger(__name__)


class UnknownRecipe(KeyError):
    """There is no recipe of that name; the message says why, or suggests the nearest."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Found:
    """The recipes of a package, and those that were left out.

    Args:
        recipes: by name, in the order of their modules, and within a module in its order.
        broken: for each module that cannot be imported, the reason.
        ambiguous: for each name that several recipes share, their modules.  None of them is in
            `recipes`, as nobody could tell which is meant.
    """

    recipes: dict[str, Recipe]
    broken: dict[str, str]
    ambiguous: dict[str, list[str]]

    def find(self, name: str) -> Recipe:
        """Return the recipe called `name`.

        Raises:
            UnknownRecipe: there is none, or it is left out because something is wrong with it.
        """
        if name not in self.recipes:
            raise UnknownRecipe(self._why_not(name))
        return self.recipes[name]

    def _why_not(self, name: str) -> str:
        if name in self.ambiguous:
            modules = " and ".join(self.ambiguous[name])
            return (
                f"Several recipes are called {name!r}, in {modules}, so none of them can be "
                "trained. Give them different names."
            )
        broken = {
            module: f"{module} cannot be imported, so its recipes are left out: {reason}."
            for module, reason in self.broken.items()
        }
        none = f"There is no recipe called {name!r}."
        for module, words in broken.items():
            if module.rpartition(".")[2].replace("_", "-") == name:
                return f"{none} {words}"
        near = difflib.get_close_matches(name, self.recipes, n=3, cutoff=0.4)
        offered = f"Did you mean {' or '.join(near or sorted(self.recipes))}?"
        return " ".join([none, offered, *broken.values()])


def find_recipes(package: ModuleType) -> Found:
    """Find the recipes in all modules of `package`.

    A faulty one does not affect the others: it is left out, and a warning names it.
    """
    broken: dict[str, str] = {}
    by_name: dict[str, list[tuple[str, Recipe]]] = {}
    seen: set[int] = set()
    for name in _module_names(package):
        try:
            module = importlib.import_module(name)
        except Exception as error:  # A module can raise anything.
            broken[name] = _reason(error, name)
            _log.warning("%s cannot be imported, so it is left out: %s", name, broken[name])
            continue
        for recipe in _recipes_of(module):
            if id(recipe) not in seen:  # A module may have imported it from another.
                seen.add(id(recipe))
                by_name.setdefault(recipe.name, []).append((name, recipe))
    ambiguous = {
        name: [module for module, _recipe in found]
        for name, found in by_name.items()
        if len(found) > 1
    }
    for name, modules in ambiguous.items():
        where = " and ".join(modules)
        _log.warning("Several recipes are called %s, so they are left out: in %s", name, where)
    single = {name: found[0][1] for name, found in by_name.items() if len(found) == 1}
    return Found(single, broken, ambiguous)


def _module_names(package: ModuleType) -> Iterator[str]:
    # A package is handed out before it is imported to look into it; if that fails, it has been
    # noticed by then.
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.", lambda _name: None)
    return (module.name for module in found)


def _recipes_of(module: ModuleType) -> Iterator[Recipe]:
    for name, value in list(vars(module).items()):
        if not name.startswith("_"):
            several = value if isinstance(value, tuple | list) else (value,)
            yield from (one for one in several if isinstance(one, Recipe))


def _reason(error: Exception, module: str) -> str:
    words, tail = f"{type(error).__name__}: {error}", module.rpartition(".")[2]
    own = []
    for frame in traceback.extract_tb(error.__traceback__):
        path = Path(frame.filename)
        if tail in (path.stem, path.parent.name if path.stem == "__init__" else None):
            own.append(f"{path.name}, line {frame.lineno}")
    return f"{words} ({own[-1]})" if own else words  # A wrong syntax names its line itself.
