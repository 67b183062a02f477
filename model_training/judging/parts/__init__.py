"""The parts that a judge is made of beside the network's own head: the head that the network came
with, and the verdicts on how strange an image is, with how they are set on photos.
"""
