"""Features from a network that a model server runs: `MODEL_SERVER_URL` says where it answers.

It speaks the Open Inference Protocol (V2) or TensorFlow Serving's REST interface (V1), and serves
what `flask export` writes; another of our sites does, too.  Nothing here needs TensorFlow.
"""
