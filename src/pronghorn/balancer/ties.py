"""What a connection counts for besides its server: its client's template, its client.

Connections that count for something are marked TIED, and the number of what they count for lies under theirs in a table
of its own, so that others cost neither memory nor time and a change of the service's options cannot make a count wrong.
"""

from __future__ import annotations

from pronghorn.balancer.clients import release_client
from pronghorn.balancer.tables import TIED, Balancer
from pronghorn.balancer.templates import release_template
from pronghorn.compiled import hot


@hot
def tie(balancer: Balancer, number: int, template: int, client: int) -> None:
    """Count the new connection for its client's template and its client (-1: there is none)."""
    ties = balancer.ties[number]
    balancer.conns[number].flags |= TIED
    ties.template, ties.client = template + 1, client + 1
    if template >= 0:
        record = balancer.templates[template]
        record.conns += 1
        record.connections += 1


@hot
def untie(balancer: Balancer, number: int) -> None:
    """The connection ends."""
    ties = balancer.ties[number]
    if ties.template != 0:
        release_template(balancer, ties.template - 1)
    if ties.client != 0:
        release_client(balancer, ties.client - 1)
