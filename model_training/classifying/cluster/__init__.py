"""Classify on a Ray cluster: the only package that imports Ray.

`joining` enters a cluster or says why it cannot, `parts` divides what is to be read, `source` lets
Ray Data read it, `worker` runs the pipeline on a node, and `run` puts them together.
"""
