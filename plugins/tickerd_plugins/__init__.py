"""The plugins that come with tickerd, one folder each."""
