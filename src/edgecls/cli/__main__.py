"""`python -m edgecls.cli`."""

from edgecls.cli import main

main()
