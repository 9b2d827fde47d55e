"""What a connection counts for besides its server: its client's template.

Connections that count for something are marked TIED, and the number of what they count for lies under theirs in a table
of its own, so that others cost neither memory nor time and a change of the service's options cannot make a count wrong.
"""

from __future__ import annotations

from pronghorn.balancer.tables import TIED, Balancer
from pronghorn.balancer.templates import release_template
from pronghorn.compiled import hot


@hot
def tie(balancer: Balancer, number: int, template: int) -> None:
    """Count the new connection for its client's template, if there is one (-1: none)."""
    if template < 0:
        return
    ties = balancer.ties[number]
    balancer.conns[number].flags |= TIED
    ties.template = template + 1
    record = balancer.templates[template]
    record.conns += 1
    record.connections += 1


@hot
def untie(balancer: Balancer, number: int) -> None:
    """The connection ends."""
    ties = balancer.ties[number]
    if ties.template != 0:
        release_template(balancer, ties.template - 1)
        ties.template = 0
