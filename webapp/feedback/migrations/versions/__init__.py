"""The steps, the first one first; a new one names the one before it as its `down_revision`."""
