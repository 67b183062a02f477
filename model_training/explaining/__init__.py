"""Explanations of an answer: where in a picture the evidence for a class lies, which training
images are nearest to it, and how good an explanation is.

Arithmetic on arrays; the gradients come from a network that the caller brings.
"""
