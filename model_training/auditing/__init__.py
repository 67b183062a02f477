"""What is wrong with the data itself: near-copies between test and training images, and suspected
label errors.

Asks networks that are trained already; trains none.
"""
