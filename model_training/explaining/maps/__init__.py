"""Methods that map where in a picture the evidence for a class lies, a module each with its paper,
and controls that know nothing of the network.
"""
