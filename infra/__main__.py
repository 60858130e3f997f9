"""`python -m infra` is `gatesid`."""

from infra.cli import main

if __name__ == "__main__":
    main()
