"""A bundle's network in a form that other programs run: TensorFlow, ONNX Runtime, a phone.

An export takes pictures and gives features and probabilities, and carries what turns these into
the site's answer (see `exporting.metadata`).  A new format is one module here and one line in
`exporting.formats`.
"""
