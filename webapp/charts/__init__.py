"""Charts as numbers, which the SVG macros draw: lines, points, bars and reliability diagrams.

They share one set of dimensions and one arithmetic for axes, and know nothing of models.
"""
