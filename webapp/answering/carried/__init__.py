"""What a page of an answer carries and brings back: its photo, and what was said of it, sealed."""
