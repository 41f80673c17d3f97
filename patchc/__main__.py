"""`python -m patchc`."""

from patchc.cli import main

main()
