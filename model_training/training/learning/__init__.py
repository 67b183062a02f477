"""What learns in one phase of a training: the learner, its optimizer, and what happens between its
epochs.
"""
