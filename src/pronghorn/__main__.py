"""`python -m pronghorn` is the command `pronghorn`."""

from pronghorn.cli import main

if __name__ == "__main__":
    main()
