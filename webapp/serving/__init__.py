"""The source of a network's output: TensorFlow in this process.

The only room of the site that calls Keras.
"""
