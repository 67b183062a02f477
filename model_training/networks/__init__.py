"""What is done with a network before and beside its training: pretrained weights, initialisation,
cutting it at a layer, and the features of frozen layers.

Knows nothing of recipes.
"""
