"""What every action can do.

`carry_out` is one call to the data plane, `inverse` the action that undoes it, `str()` a line for people. An action
holds what it needs to be undone, so a plan is complete by itself.
"""

from abc import ABC, abstractmethod
from typing import Any

from pronghorn.control.plane import DataPlane


class Action(ABC):
    @abstractmethod
    def carry_out(self, plane: DataPlane) -> None: ...

    @abstractmethod
    def inverse(self) -> "Action": ...

    def as_json(self) -> dict[str, Any]:
        return {"action": type(self).__name__, "text": str(self)}
