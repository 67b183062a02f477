"""From a recipe and a data set to a bundle: the run, its loop, optimizers, schedules and
checkpoints.

Plain Keras, on any of its backends.
"""
