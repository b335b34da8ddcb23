"""The journal: an append-only log of everything that was published, from which durable sinks and replays read."""
