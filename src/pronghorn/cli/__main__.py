"""`python -m pronghorn.cli` is `pronghorn`."""

from pronghorn.cli import main

main()
