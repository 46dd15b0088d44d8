"""`python -m runcord`: the command line."""

from runcord.cli import main

if __name__ == "__main__":
    main()
