"""The path of a tick: the hub, subscriptions with their overflow policies, demand, and delivery to sinks."""
