"""The bundle, the folder of a trained model: its card, history, predictions and exports.

The only package that names a bundle's files.
"""
