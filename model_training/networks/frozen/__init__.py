"""Frozen layers, which are run once per image: their output is computed, kept, and drawn from.

`features` computes it; `pieces` is how it lies on disk, whole or in part; `sharing` is what several
processes need to compute it together.
"""
