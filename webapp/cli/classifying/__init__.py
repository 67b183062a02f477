"""`flask classify`: the command, and where its work is done, in this process or on a cluster."""
