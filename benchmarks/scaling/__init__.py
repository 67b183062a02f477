"""How the site grows: what a photo costs (`costs`), a simulation of the site from that
(`simulation`, `autoscaling`), a check of it against a real load test (`check`), and the tables of
docs/scaling.md (`plan`).
"""
