"""`python -m tickerd`."""

from tickerd.cli import main

if __name__ == "__main__":
    main()
