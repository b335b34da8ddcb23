"""The control API: an HTTP face in a compartment of its own, on sockets that the host has opened.

Nothing is imported here: the daemon imports what it needs when the YAML asks for it.
"""
