"""What runs: plugins found and declared, the plan from one configuration to the next, and supervised units."""
