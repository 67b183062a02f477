"""Where a network's output comes from: this process' TensorFlow.

The only room of the site that calls Keras.
"""
