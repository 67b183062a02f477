"""What the README claims about speed, measured: each claim a ratio taken within one run."""
