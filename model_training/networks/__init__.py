"""What is done with a network before and beside its training: pretrained weights, initialisation,
cutting it at a layer, the features of frozen layers, and how many images it takes at a time.

Knows nothing of recipes.
"""
