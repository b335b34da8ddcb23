"""What `tickerd doctor` looks at, one file for each kind of thing; none of it changes anything."""
