"""The gateway daemon: starts the engine, carries out the configuration, then serves the control API until told to end.

Traffic comes first: the engine forwards before the libraries of the API are even imported. SIGHUP reads the file again,
SIGTERM and SIGINT end cleanly. A bad file, at start or later, changes nothing that runs.
"""

import contextlib
import signal
from pathlib import Path
from types import FrameType

from pronghorn.control import notify, runtime
from pronghorn.control.apply import ApplyError
from pronghorn.control.gateway import Gateway
from pronghorn.control.load import load
from pronghorn.control.log import say
from pronghorn.control.plan import RestartNeeded
from pronghorn.control.plane import EngineFactory
from pronghorn.control.problems import ConfigError


def run(path: Path, factory: EngineFactory) -> None:
    """Run a gateway until a signal ends it. Raises ConfigError, ApplyError, RuntimeDirectoryError, EngineError."""
    config = load(path)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})  # kept until there is something to reload
    with contextlib.suppress(_Ended), runtime.listener(config.gateway.name) as control:
        gateway = Gateway(factory, config)
        try:
            say(f'gateway "{config.gateway.name}" forwards, control socket {control.getsockname()}')
            from pronghorn.control.server import serve  # the API's libraries; traffic flows already

            serve(gateway, control, lambda: reload(gateway, path))
        finally:
            notify.stopping()
            gateway.close()
    say("ended")


class _Ended(BaseException):
    """A signal while the engine starts. Not KeyboardInterrupt: where that meets an import that calls exec (dataclasses
    do), the interpreter remembers it, and ends itself by SIGINT when all is done."""


def _end(number: int, frame: FrameType | None) -> None:
    """End, and close everything."""
    raise _Ended


def reload(gateway: Gateway, path: Path) -> None:
    """Read the file again and become what it says; say what was done or why nothing was."""
    notify.reloading()
    try:
        actions = gateway.configure(load(path))
    except (ConfigError, RestartNeeded, ApplyError) as error:
        say(f"{path} was not carried out, the gateway goes on as before:\n{error}")
    else:
        for action in actions:
            say(str(action))
        say(f"{path} was carried out, changes: {len(actions)}")
    notify.ready("forwarding")
