"""Work on networks apart from their training: load one, cut it at a layer, give it pretrained or
initial weights, check it before it is trained, and compute the features of frozen layers.

Knows nothing of recipes.
"""
