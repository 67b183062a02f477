"""`flask tune`, and the settings that it found as `flask train --from-study` takes them."""
