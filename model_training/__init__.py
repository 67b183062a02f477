"""Training and judging image classifiers; knows nothing of the web.

The package makes *bundles* (see :mod:`bundles.bundle`), folders that hold a trained Keras
model and everything measured about it.  The website reads bundles and nothing else of a training.
"""
