"""Charts as numbers, which the SVG macros draw: lines, points and reliability diagrams.

One arithmetic for all of them; knows nothing of models.
"""
