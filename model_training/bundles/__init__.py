"""The bundle, the folder that a trained model is: its card, history, predictions and exports.

The only room that names a bundle's files.
"""
