"""Single pictures: the one opener of untrusted bytes, the views that a network is shown, and
sprites, the sheets in which test images are kept.
"""
