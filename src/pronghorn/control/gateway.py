"""A running gateway as the control plane sees it: an engine, and the configuration that it carries out.

Every change, from whichever side it comes, goes the same way: a wanted configuration, its check, the plan, the actions.
When any of them fails, both the engine and `running` are what they were.
"""

from collections.abc import Callable

from pronghorn.control.actions import Action
from pronghorn.control.apply import apply
from pronghorn.control.health.manager import Health
from pronghorn.control.load import parse
from pronghorn.control.model import Config
from pronghorn.control.plan import plan
from pronghorn.control.plane import Engine, EngineFactory


class Gateway:
    """One engine. Used by one thread."""

    def __init__(self, factory: EngineFactory, wanted: Config) -> None:
        """Start the engine and carry out a configuration. When that fails the engine is closed again."""
        self.running = wanted.empty()
        self.changed: list[Callable[[], None]] = []  # called after each change
        self.engine: Engine = factory(self.running)
        self.health = Health(self.engine)
        try:
            self.configure(wanted)
            self.engine.start()
        except BaseException:
            self.engine.close()
            raise

    def plan(self, wanted: Config) -> list[Action]:
        """What `configure` would do. Raises RestartNeeded."""
        return plan(self.running, wanted)

    def configure(self, wanted: Config) -> list[Action]:
        """Become what is wanted. Raises RestartNeeded or ApplyError; then nothing has changed."""
        actions = self.plan(wanted)
        apply(actions, self.health.plane)  # which leaves to the engine what does not concern health
        self.running = wanted
        self.health.settle()
        for told in self.changed:
            told()
        return actions

    def edit(self, change: Callable[[Config], Config]) -> list[Action]:
        """Change the running configuration. Raises ConfigError when the result would be a wrong one."""
        wanted = change(self.running)
        return self.configure(parse(wanted.model_dump(mode="json"), file=""))

    def close(self) -> None:
        self.engine.close()
