"""The bundle, the folder of a trained model: its card, history, predictions and exports.

The only room that names a bundle's files.
"""
