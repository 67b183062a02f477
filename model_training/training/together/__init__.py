"""A training in several processes.

`team` is which of them this one is, and what they tell each other; `joining` brings them together;
`alone` lets one compute by itself; `state` gives all of them the state to resume from.
"""
