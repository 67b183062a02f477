"""The data sets that the site shows: the kept part of each and its audit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from logging import Logger
from pathlib import Path

import numpy as np

from model_training.auditing.audit import Audit, read_audit
from model_training.bundles.card import Card
from model_training.datasets.dataset import ImageSet
from model_training.datasets.description import About
from model_training.datasets.kept import AUDIT, Kept, read_all_kept
from model_training.datasets.pictures.remembered import RememberedImages
from model_training.datasets.registry import KnownDataSet, known_data_sets
from model_training.datasets.statistics import Statistics
from model_training.files import DamagedFile
from model_training.mapping import map_arrays
from model_training.naming import slug

_DIGITS = 8
"""Of a digest: enough to tell versions of a data set apart."""


@dataclass(frozen=True)
class ServedDataSet:
    """A data set as the pages know it.

    Args:
        name: what addresses call it.
        title: the name as people write it.
        classes: the meaning of each label.
        digest: names exactly its images; the results that have it belong here.
        kept: what is kept of it; None where only results of it are here.
        known: itself in the catalogue, where only results of it are here and they say it is that.
        audit: of the kept test images, if there is a good one.
        problems: of each damaged part, what is wrong with it.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    digest: str
    kept: Kept | None = None
    known: KnownDataSet | None = None
    audit: Audit | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def test(self) -> ImageSet | None:
        """Return the test images, if they are here and whole."""
        return self.kept.test if self.kept else None

    @property
    def statistics(self) -> Statistics | None:
        """Return its figures, if they are here and whole."""
        return self.kept.statistics if self.kept else None

    @property
    def remembered(self) -> RememberedImages | None:
        """Return the training images that judges remember, if they are here."""
        return self.kept.remembered if self.kept else None

    @property
    def fetched(self) -> bool:
        """Return False if a first training needs a copy of it, since nobody may fetch it."""
        return all(one.fetched for one in known_data_sets().values() if one.digest == self.digest)

    @property
    def about(self) -> About:
        """Return the sentences for its page."""
        if self.kept:
            return self.kept.description.about
        return self.known.about if self.known else About()

    @property
    def version(self) -> str:
        """Return a word that changes with the test images, for addresses that may be kept."""
        return self.kept.description.test_digest[:12] if self.kept else ""

    @property
    def test_count(self) -> int | None:
        """Return the number of its test images, if that is known here."""
        if self.test is not None:
            return len(self.test)
        return int(self.statistics.counts[-1].sum()) if self.statistics else None

    @property
    def train_count(self) -> int | None:
        """Return the number of its training images, validation included, if that is known here."""
        return int(self.statistics.counts[:-1].sum()) if self.statistics else None

    @property
    def missing_images(self) -> str:
        """Return the sentence for a visitor who asks for test images that are not here."""
        if self.kept is None:
            return (
                f"The test images of {self.title} are not here: only results of models that were "
                "tested on them are."
            )
        return (
            f"The test images of {self.title} cannot be shown: they are missing or damaged. "
            "The site’s operator can restore them with “flask data pack” and “flask models reload”."
        )


def read_data_sets(folder: Path, logger: Logger) -> tuple[list[ServedDataSet], dict[str, str]]:
    """Read every data set that is kept in `folder`.

    Whatever is damaged is left out and logged; the rest of its data set is served.

    Returns:
        The data sets by name, and for each that cannot be served at all what is wrong with it.
    """
    kept, bad = read_all_kept(folder)
    for name, problem in bad.items():
        logger.error("the data set %s is left out: %s", name, problem)
    return [_served(one, logger) for one in kept], bad


def known_by_results(cards: Iterable[Card], there: Iterable[ServedDataSet]) -> list[ServedDataSet]:
    """Return the data sets of which there is nothing here but results.

    Args:
        cards: of all models.
        there: the data sets that are kept.
    """
    digests = {one.digest for one in there}
    names, titles = {one.name for one in there}, {one.title for one in there}
    catalogue = {one.digest: one for one in known_data_sets().values()}
    found: dict[str, ServedDataSet] = {}
    for card in cards:
        digest, title = card.training.data_digest, card.training.data_set
        if digest in digests or digest in found:
            continue
        known = catalogue.get(digest)
        name = known.name if known else slug(title)
        if not name or name in names:
            name = f"{name[:48]}-{digest[:_DIGITS]}".lstrip("-")
        if title in titles:
            # A folder of photos that grew since: another data set under the same title.
            title = f"{title} (another version, {digest[:_DIGITS]})"
        found[digest] = ServedDataSet(name, title, tuple(card.classes), digest, known=known)
        names.add(name)
        titles.add(title)
    return list(found.values())


def _served(kept: Kept, logger: Logger) -> ServedDataSet:
    kept = _mapped(kept)
    description, problems = kept.description, dict(kept.problems)
    audit = None
    try:
        audit = read_audit(kept.folder / AUDIT, description)
        if kept.test is not None and not np.array_equal(audit.labels, kept.test.labels):
            raise DamagedFile("it is of other test images")
    except FileNotFoundError:
        logger.info("the data set %s has not been audited", kept.name)
    except (OSError, DamagedFile) as error:
        audit, problems[AUDIT] = None, str(error)
    for part, problem in problems.items():
        logger.error("%s of the data set %s is left out: %s", part, kept.name, problem)
    return ServedDataSet(
        kept.name,
        description.title,
        description.classes,
        description.digest,
        kept,
        audit=audit,
        problems=problems,
    )


def _mapped(kept: Kept) -> Kept:
    """Return `kept` with its pictures in mapped files: they are large, and few ask for them."""
    test, remembered = kept.test, kept.remembered
    if test is not None:
        (images,) = map_arrays([test.images])
        test = ImageSet(images, test.labels)
    if remembered is not None:
        (pictures,) = map_arrays([remembered.pictures])
        remembered = replace(remembered, pictures=pictures)
    return replace(kept, test=test, remembered=remembered)
