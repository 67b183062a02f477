"""Single pictures: the one opener of a stranger's bytes, the views that a network is shown, and
sprites, the sheets in which test images are kept.
"""
