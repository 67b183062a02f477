"""The source of a network's output: TensorFlow in this process.

The only package of the site that calls Keras.
"""
