"""What comes from ImageNet: its thousand classes and heads for them, networks that Keras does not
have, and where their weights come from.
"""
