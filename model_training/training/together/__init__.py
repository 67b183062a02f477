"""A training in several processes.

`team` is which of them this one is, and what they tell each other; in `meeting` they find out
whether all are there, and `joining` lets them train together; `last_words` are those of one that
is killed; `alone` lets one compute by itself; `state` gives all of them the state to resume from.
"""
