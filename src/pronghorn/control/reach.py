"""How packets reach servers, as the configuration says it: `method`, `[services.tunnel]` (model.py has the rest)."""

from typing import Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["full-nat", "nat", "direct", "tunnel-ipip", "tunnel-gre", "tunnel-gue"]

MEANING = (
    "how packets reach the servers; full-nat: from and to one of `local_addresses`; nat: from the client's address, "
    "and the servers' way back leads through the gateway; direct: as they came, and servers have the service's address "
    "and port and answer by themselves; tunnel-...: the same behind another header, which the server takes off"
)


class Tunnel(BaseModel):
    """What lies between the outer header and the packet, for the methods tunnel-gre and tunnel-gue."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    port: int = Field(default=6080, ge=1, le=65_535, description="tunnel-gue: where servers take UDP packets")
    key: int | None = Field(
        default=None, ge=0, le=4_294_967_295, description="tunnel-gre: the key (RFC 2890); without, there is none"
    )
    checksum: bool = Field(default=False, description="write a checksum of GRE, or of UDP with GUE")


class Reach(NamedTuple):
    """Both together."""

    method: Method
    tunnel: Tunnel

    def __str__(self) -> str:
        asked = [f"{key} {value}" for key, value in self.tunnel if value != Tunnel.model_fields[key].default]
        more = f" ({', '.join(asked)})" if asked and self.method.startswith("tunnel-") else ""
        return self.method + more
