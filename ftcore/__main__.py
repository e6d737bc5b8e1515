"""`python -m ftcore`: the same as the `ftcore` command."""

from ftcore.cli import main

if __name__ == "__main__":
    main()
