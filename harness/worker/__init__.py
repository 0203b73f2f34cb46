"""One isolated child process per cell, and the supervisor that survives whatever happens to it.

Nothing is imported here: a child starts with every cell, and needs nothing of its supervisor.
"""
