"""The control API: HTTP with JSON over the gateway's Unix socket (docs/adr/0002-control-api.md).

GET /v1/KIND gives {KIND: [...]} with the fields of views.py. Whatever changes something answers {"plan": [...]}, the
actions that were carried out. Errors are {"error": sentence}, for configurations also {"problems": [...]}: 400 for a
value that is wrong, 404 for what is not there, 409 for what cannot be done now; nothing has changed then.
"""

import dataclasses
import json
import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pronghorn.control import edit
from pronghorn.control.access_settings import Set, members
from pronghorn.control.actions import Action
from pronghorn.control.apply import ApplyError
from pronghorn.control.filter import LIMIT, FilterError, read_filter, read_number
from pronghorn.control.gateway import Gateway
from pronghorn.control.health.metrics import MEDIA, metrics
from pronghorn.control.health.show import services
from pronghorn.control.keeper import Keeper
from pronghorn.control.load import loads, parse
from pronghorn.control.model import Config
from pronghorn.control.part import read_server, read_service
from pronghorn.control.plan import RestartNeeded
from pronghorn.control.problems import ConfigError
from pronghorn.control.rates import Rates
from pronghorn.control.views import KINDS, EntryView

SET_CHANGES = ("add", "del", "flush", "test")
BODY_LIMIT = 16 << 20  # octets in one request


class Api:
    """The handlers, by what they are about."""

    def __init__(self, gateway: Gateway, keeper: Keeper | None) -> None:
        self.gateway, self.keeper = gateway, keeper
        self.rates = Rates(time.monotonic)
        self.started = time.time()

    async def about(self, request: Request) -> Response:
        name = self.gateway.running.gateway.name
        return JSONResponse({"name": name, "version": _version(), "pid": os.getpid(), "started": self.started})

    async def show(self, request: Request) -> Response:
        """One kind of view, with rates."""
        kind = request.path_params["kind"]
        if kind not in KINDS:
            raise HTTPException(404, f"there is nothing called {kind}; there are: {', '.join(KINDS)}")
        if kind == "conns":
            limit = read_number(request.query_params, "limit", LIMIT, 999_999_999)
            views: Any = self.gateway.engine.conns(limit)
        elif kind == "persistence":
            views = self.gateway.engine.clients(read_number(request.query_params, "limit", LIMIT, 999_999_999))
        elif kind in ("tcp", "udp"):
            views = getattr(self.gateway.engine, kind)(read_filter(request.query_params))
        elif kind == "health":
            views = self.gateway.health.views()
        elif kind == "services":
            shown = await self.rates.watch(kind, self.gateway.engine.services)
            views = services(self.gateway.health, shown)
        elif kind == "programs":
            views = await self.rates.watch(kind, self.keeper.views) if self.keeper else []
        else:
            views = await self.rates.watch(kind, getattr(self.gateway.engine, kind))
            if request.query_params.get("counted") == "1":
                views = [view for view in views if view.value]
        return JSONResponse({kind: [dataclasses.asdict(view) for view in views]})

    async def health_metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(metrics(self.gateway.health.views()), media_type=MEDIA)

    async def config(self, request: Request) -> Response:
        return JSONResponse(self.gateway.running.model_dump(mode="json"))

    async def configure(self, request: Request) -> Response:
        """A whole configuration, as TOML or JSON; `file` names it in messages, `dry_run=1` only plans."""
        file = request.query_params.get("file", "configuration")
        if request.headers.get("content-type", "").startswith("application/json"):
            wanted = parse(await _json(request), file)
        else:
            wanted = loads((await _body(request)).decode(errors="replace"), file)
        dry = request.query_params.get("dry_run") == "1"
        return _plan(self.gateway.plan(wanted) if dry else self.gateway.configure(wanted))

    async def add_service(self, request: Request) -> Response:
        service = read_service(await _json(request))
        return self._edit(lambda config: edit.add_service(config, service), 201)

    async def change_service(self, request: Request) -> Response:
        name, change = request.path_params["service"], await _json(request)
        return self._edit(lambda config: edit.change_service(config, name, change))

    async def remove_service(self, request: Request) -> Response:
        return self._edit(lambda config: edit.remove_service(config, request.path_params["service"]))

    async def add_server(self, request: Request) -> Response:
        name, server = request.path_params["service"], read_server(await _json(request))
        return self._edit(lambda config: edit.add_server(config, name, server), 201)

    async def change_server(self, request: Request) -> Response:
        name, label = _server(request)
        change = await _json(request)
        return self._edit(lambda config: edit.change_server(config, name, label, change))

    async def remove_server(self, request: Request) -> Response:
        name, label = _server(request)
        return self._edit(lambda config: edit.remove_server(config, name, label))

    async def drain_server(self, request: Request) -> Response:
        name, label = _server(request)
        return self._edit(lambda config: edit.change_server(config, name, label, {"state": "drain"}))

    async def resume_server(self, request: Request) -> Response:
        name, label = _server(request)
        return self._edit(lambda config: edit.change_server(config, name, label, {"state": "up"}))

    async def set_entries(self, request: Request) -> Response:
        """The entries of a set, or of those that are asked for by `test` the ones that are there."""
        name = request.path_params["set"]
        self._set(name)
        return _entries(self.gateway.engine.set_entries(name))

    async def change_set(self, request: Request) -> Response:
        """Entries that come and go while packets flow; they are no part of the configuration."""
        name, engine = request.path_params["set"], self.gateway.engine
        what = request.url.path.rpartition("/")[2]
        kind = self._set(name).kind
        texts = (await _json(request)).get("entries", [])
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise HTTPException(400, "`entries` is not an array of strings")
        wanted, wrong = members(kind, tuple(texts))
        if wrong:
            raise HTTPException(400, "; ".join(f"{texts[place]} {sentence}" for place, sentence in wrong[:8]))
        if what == "test":
            return _entries([found for one in wanted if (found := engine.test_entry(name, one))])
        try:
            if what == "flush":
                return JSONResponse({"changed": engine.flush_set(name)})
            change = {"add": engine.add_entries, "del": engine.delete_entries}[what]
            return JSONResponse({"changed": change(name, wanted)})
        except ValueError as error:
            raise HTTPException(409, str(error)) from None

    def _set(self, name: str) -> Set:
        for one in self.gateway.running.sets:
            if one.name == name:
                return one
        known = ", ".join(one.name for one in self.gateway.running.sets) or "none"
        raise HTTPException(404, f'there is no set "{name}"; there are: {known}')

    def _edit(self, change: Callable[[Config], Config], status: int = 200) -> Response:
        return _plan(self.gateway.edit(change), status)


def application(gateway: Gateway, keeper: Keeper | None = None) -> Starlette:
    """The table of contents of the API. `keeper`: of a gateway that takes programs."""
    api = Api(gateway, keeper)
    several, servers = "/v1/services", "/v1/services/{service}/servers"
    routes = [
        Route("/v1", api.about, methods=["GET"]),
        Route("/v1/config", api.config, methods=["GET"]),
        Route("/v1/config", api.configure, methods=["PUT"]),
        Route(several, api.add_service, methods=["POST"]),
        Route(several + "/{service}", api.change_service, methods=["PATCH"]),
        Route(several + "/{service}", api.remove_service, methods=["DELETE"]),
        Route(servers, api.add_server, methods=["POST"]),
        Route(servers + "/{server}", api.change_server, methods=["PATCH"]),
        Route(servers + "/{server}", api.remove_server, methods=["DELETE"]),
        Route(servers + "/{server}/drain", api.drain_server, methods=["POST"]),
        Route(servers + "/{server}/resume", api.resume_server, methods=["POST"]),
        Route("/v1/sets/{set}", api.set_entries, methods=["GET"]),
        *(Route(f"/v1/sets/{{set}}/{what}", api.change_set, methods=["POST"]) for what in SET_CHANGES),
        Route("/v1/health/metrics", api.health_metrics, methods=["GET"]),
        Route("/v1/{kind}", api.show, methods=["GET"]),
    ]
    return Starlette(routes=routes, exception_handlers=ERRORS)


def _plan(actions: list[Action], status: int = 200) -> Response:
    return JSONResponse({"plan": [action.as_json() for action in actions]}, status)


def _entries(views: Sequence[EntryView]) -> Response:
    return JSONResponse({"entries": [vars(view) for view in views]})  # there may be a million


def _server(request: Request) -> tuple[str, str]:
    return request.path_params["service"], request.path_params["server"]


async def _body(request: Request) -> bytes:
    octets = b""
    async for chunk in request.stream():
        octets += chunk
        if len(octets) > BODY_LIMIT:
            raise HTTPException(413, f"the request is longer than {BODY_LIMIT} octets")
    return octets


async def _json(request: Request) -> dict[str, Any]:
    try:
        data = json.loads(await _body(request))
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"the request is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise HTTPException(400, "the request is JSON, but not an object")
    return data


def _version() -> str:
    try:
        return version("pronghorn")
    except PackageNotFoundError:
        return "unknown"


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return JSONResponse({"error": error.detail}, error.status_code)
    if isinstance(error, ConfigError):
        return JSONResponse({"error": str(error), "problems": [problem.as_json() for problem in error.problems]}, 400)
    status = {FilterError: 400, edit.NotThere: 404, edit.AlreadyThere: 409, RestartNeeded: 409, ApplyError: 500}
    return JSONResponse({"error": str(error)}, status[type(error)])


REFUSALS = (HTTPException, ConfigError, FilterError, edit.NotThere, edit.AlreadyThere, RestartNeeded, ApplyError)
ERRORS: Any = dict.fromkeys(REFUSALS, _refused)
