"""Audits of the data itself: near-copies between test and training images, and suspected label
errors.

They use networks that are trained already, and train none.
"""
