"""What the configuration says about who may: `[[sets]]`, and the keys of services and of the balancer that name them.

Texts of entries are read by balancer/set_entries.py, once for each set and not for each change of something else:
sets may be long.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from pronghorn.control.fields import NameField, NotStrict, PathField, _from_text

if TYPE_CHECKING:
    from pronghorn.balancer.set_entries import Member
    from pronghorn.control.model import Config, Service

KINDS = ("ip", "net", "ip:port", "net:port", "mac", "port", "interface")
IPSET_KINDS = {
    "hash:ip": "ip",
    "hash:net": "net",
    "hash:ip,port": "ip:port",
    "hash:net,port": "net:port",
    "hash:mac": "mac",
    "bitmap:port": "port",
}
"""ipset's names of the same kinds."""

ENTRIES = 1_048_576
FILE_LIMIT = 256 << 20  # octets
RULES = (
    "allow", "deny", "source_connections", "source_connections_burst", "source_packets", "source_packets_burst",
)  # fmt: skip
"""Keys of a service that say who may."""

GUARDS = ("black_lists", "defence_tcp_drop", "defence_udp_drop")
"""Keys of the balancer that do."""

T = TypeVar("T")
Found = tuple[tuple[str | int, ...], Any, str, str | None]  # path, value, what is wrong, what is allowed


def _read_kind(text: str) -> str:
    kind = IPSET_KINDS.get(text, text)
    if kind not in KINDS:
        raise ValueError("unknown")
    return kind


KindField = Annotated[
    str,
    _from_text(_read_kind),
    Field(json_schema_extra={"allowed": ", ".join(f'"{kind}"' for kind in KINDS) + "; or ipset's name of it"}),
]
EntryField = Annotated[
    str,
    Field(
        max_length=512,
        json_schema_extra={
            "allowed": 'as in ipset: "192.0.2.1", "192.0.2.0/24", "192.0.2.1,udp:53", "02:00:00:00:00:01", "443" or '
            'the name of a port, by kind; behind it `timeout SECONDS`, `comment "TEXT"`, `nomatch`'
        },
    ),
]


class Set(BaseModel):
    """A named set for lists of services and for the black list. Its entries can be changed while packets flow.

    Addresses and MAC addresses are those that packets come from, ports those that they go to. Of networks the longest
    that has an address decides. Entries that `pronghorn set` adds or takes out stay so until the set itself goes.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: NameField = Field(description="how services, the black list and commands call the set")
    kind: KindField = Field(description="what its entries are")
    entries: Annotated[tuple[EntryField, ...], NotStrict] = Field(default=(), description="what it has")
    file: PathField | None = Field(
        default=None, description="a file with more of them, one in a line, read with the configuration; # is a comment"
    )
    timeout: int = Field(
        default=0, ge=0, le=2_147_483, description="seconds that entries last which say nothing else; 0: for ever"
    )
    max_entries: int = Field(default=ENTRIES, ge=1, le=ENTRIES, description="entries that there can be")


# --- reading ------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def members(kind: str, entries: tuple[str, ...]) -> tuple[tuple[Member, ...], tuple[tuple[int, str], ...]]:
    """The entries, and what is wrong with which."""
    from pronghorn.balancer.set_entries import read_member

    good, wrong = [], []
    for place, text in enumerate(entries):
        try:
            good.append(read_member(kind, text))
        except ValueError as error:
            wrong.append((place, str(error)))
    return tuple(good), tuple(wrong)


def read_files(config: Config) -> tuple[Config, list[Found]]:
    """The same configuration in which what stood in files stands in the sets themselves."""
    if not any(one.file for one in config.sets):
        return config, []
    sets: list[Set] = []
    wrong: list[Found] = []
    for place, one in enumerate(config.sets):
        if one.file is not None:
            try:
                one = one.model_copy(update={"entries": (*one.entries, *_lines(one.file)), "file": None})
            except (OSError, ValueError) as error:
                reason = getattr(error, "strerror", None) or str(error)
                wrong.append((("sets", place, "file"), one.file, f"cannot be read: {reason}", None))
        sets.append(one)
    return config.model_copy(update={"sets": tuple(sets)}), wrong


def _lines(path: str) -> list[str]:
    if os.stat(path).st_size > FILE_LIMIT:
        raise ValueError(f"it has more than {FILE_LIMIT} octets")
    texts = (line.strip() for line in Path(path).read_text(encoding="utf-8").splitlines())
    return [text for text in texts if text and not text.startswith("#")]


# --- checking -----------------------------------------------------------------------------------------------------


def findings(config: Config) -> Iterator[Found]:
    """What is wrong with sets, and with what names them."""
    names = [one.name for one in config.sets]
    ports = {port.name for port in config.ports}
    for i, one in enumerate(config.sets):
        if one.name in names[:i]:
            yield ("sets", i, "name"), one.name, "another set has this name", None
        good, wrong = members(one.kind, one.entries)
        yield from ((("sets", i, "entries", k), one.entries[k], sentence, None) for k, sentence in wrong)
        if len(one.entries) > one.max_entries:
            yield ("sets", i, "max_entries"), one.max_entries, f"is less than its {len(one.entries)} entries", None
        for k, member in enumerate(good if one.kind == "interface" and not wrong else ()):
            if member.name not in ports:
                yield ("sets", i, "entries", k), member.text, "no port has this name", ", ".join(sorted(ports)) or None
    named: list[tuple[tuple[str | int, ...], str]]
    named = [(("balancer", "black_lists", k), name) for k, name in enumerate(config.balancer.black_lists)]
    if len(named) > 8:
        yield ("balancer", "black_lists"), len(named), "are more than 8 sets", None
    for i, service in enumerate(config.services):
        named += [(("services", i, key), name) for key in ("allow", "deny") if (name := getattr(service, key))]
    for path, name in named:
        if name not in names:
            yield path, name, "no set has this name", ", ".join(names) or "there is none"


def differs(old: Service, new: Service) -> bool:
    """Whether two services let others in."""
    return any(getattr(old, name) != getattr(new, name) for name in RULES)
