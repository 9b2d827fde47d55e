"""The steps from one configuration to another, one small value each."""

from pronghorn.control.actions.access import AddSet, ChangeGuards, ChangeRules, ChangeSet, RemoveSet
from pronghorn.control.actions.balancing import (
    AddLocalAddress,
    ChangeLocalPorts,
    ChangePolling,
    ChangeTimeouts,
    RemoveLocalAddress,
)
from pronghorn.control.actions.base import Action
from pronghorn.control.actions.health import ChangeChecks, ChangeHealth
from pronghorn.control.actions.network import (
    AddAddress,
    AddPort,
    AddRoute,
    ChangeMtu,
    ChangeRoute,
    RemoveAddress,
    RemovePort,
    RemoveRoute,
)
from pronghorn.control.actions.options import ChangeListens, ChangeOptions
from pronghorn.control.actions.services import (
    AddServer,
    AddService,
    ChangeLimits,
    ChangeMethod,
    ChangeScheduler,
    ChangeWeight,
    DrainServer,
    RemoveServer,
    RemoveService,
    RenameServer,
    RenameService,
    ResumeServer,
)
from pronghorn.control.actions.sockets import ChangePrograms, ChangeSocketPorts, ChangeTcp, ChangeUdp

__all__ = [
    "Action",
    "AddAddress",
    "AddLocalAddress",
    "AddPort",
    "AddRoute",
    "AddServer",
    "AddService",
    "AddSet",
    "ChangeChecks",
    "ChangeGuards",
    "ChangeHealth",
    "ChangeLimits",
    "ChangeListens",
    "ChangeLocalPorts",
    "ChangeMethod",
    "ChangeMtu",
    "ChangeOptions",
    "ChangePolling",
    "ChangePrograms",
    "ChangeRoute",
    "ChangeRules",
    "ChangeScheduler",
    "ChangeSet",
    "ChangeSocketPorts",
    "ChangeTcp",
    "ChangeTimeouts",
    "ChangeUdp",
    "ChangeWeight",
    "DrainServer",
    "RemoveAddress",
    "RemoveLocalAddress",
    "RemovePort",
    "RemoveRoute",
    "RemoveServer",
    "RemoveService",
    "RemoveSet",
    "RenameServer",
    "RenameService",
    "ResumeServer",
]
