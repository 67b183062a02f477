"""What is done with a network before and beside its training: load one, cut it at a layer, put
pretrained weights or first weights into it, look it over before it is trained, and compute the
features of frozen layers.

Knows nothing of recipes.
"""
