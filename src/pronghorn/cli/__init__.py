"""The command `pronghorn`. Its parts are imported when they are needed: a command should be quick to start.

app       the table of contents              up  apply  run  check  sockets  show  service  server  set
          one command each
options   shared by commands                 output  tables  units               what is printed
checker   the process that makes health checks; no command
"""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 refused or failed, 2 wrong usage, 130 interrupted."""
    from pronghorn.cli.app import app
    from pronghorn.control.trouble import Trouble

    try:
        app(args=list(sys.argv[1:] if arguments is None else arguments), prog_name="pronghorn")
    except Trouble as trouble:
        from pronghorn.cli.output import complain

        complain(str(trouble))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
