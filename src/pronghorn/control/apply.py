"""Carry out a plan; when an action fails, undo the ones before it in reverse order: all happened or nothing did."""

from collections.abc import Sequence

from pronghorn.control.actions import Action
from pronghorn.control.plane import DataPlane
from pronghorn.control.trouble import Trouble


class ApplyError(Trouble):
    """An action failed. `stuck` lists what could not be undone: empty, the data plane is as it was before."""

    def __init__(self, failed: Action, reason: BaseException, stuck: Sequence[tuple[Action, BaseException]]) -> None:
        self.failed, self.reason, self.stuck = failed, reason, list(stuck)
        text = f"could not {failed}: {reason or type(reason).__name__}"
        if stuck:
            text += "; undoing the steps before failed as well: "
            text += ", ".join(f"could not {action}: {why}" for action, why in stuck)
            text += "; restart the gateway to be in a known state"
        else:
            text += "; all steps before were undone, nothing has changed"
        super().__init__(text)


def apply(actions: Sequence[Action], plane: DataPlane) -> None:
    """Carry out all actions or none. Raises ApplyError."""
    with plane.together():
        done: list[Action] = []
        for action in actions:
            try:
                action.carry_out(plane)
            except BaseException as error:
                stuck = _undo(done, plane)
                if not isinstance(error, Exception):
                    raise
                raise ApplyError(action, error, stuck) from error
            done.append(action)


def _undo(done: list[Action], plane: DataPlane) -> list[tuple[Action, BaseException]]:
    stuck: list[tuple[Action, BaseException]] = []
    for action in reversed(done):
        inverse = action.inverse()
        try:
            inverse.carry_out(plane)
        except Exception as error:
            stuck.append((inverse, error))
    return stuck
