"""How a photo gets here to be answered: a visitor's, opened in a process that can be killed, or one
of the examples that the site brings along.
"""
