"""How much is done: at a time, by all (`admission`), and within an hour, by one client
(`by_client`).
"""
