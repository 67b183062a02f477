"""What the load tests share: clients of a real server, what they send, and tables of what they
waited.
"""
