"""Longest-prefix match for IPv4 and IPv6: a tree bitmap (Eatherton, Varghese & Dittia, 2004) of 6 bits per level.

A node stands for the addresses that begin with the bits that lead to it, and decides the next 6 bits. One bitmap says
which of the 63 prefixes of 0 to 5 further bits exist, numbered like a heap (1 is the empty one, then 2k and 2k+1), so
that the highest common bit with the address's own ancestors is the longest match. Another says which of the 64
children exist. The values and the children lie side by side, in order, in two small arrays (blocks.py); how many bits
are set below one's own is one's place. Two nodes fit in a cache line, and a prefix of any length costs a few octets.

An address is two words, high and low; IPv4 fills the upper half of `high` (`prefix_find4` and the like). A look-up
visits at most 6 nodes for IPv4 and 22 for IPv6. Adding or removing changes one node and the path that leads only to
it: nothing is pushed down to leaves, so the time is bounded however many routes there are (at most 22 arrays of 64
elements are shifted).

The writer is the reader: a table belongs to one worker and changes between its turns. After a restart it is filled
anew.
"""

from __future__ import annotations

from pronghorn.compiled import Array, View, array_at, count_ones, fill, fixed, hot, leading_zeros, leaf, u8, u32, u64
from pronghorn.memory.arena import Arena
from pronghorn.memory.blocks import Blocks, blocks_insert, blocks_open, blocks_remove
from pronghorn.memory.layout import Layout, lay

STRIDE = 6
_DEEPEST = 22


class Node(View, align=32, size=32):
    """Six bits of address."""

    prefixes: u64  # bit k: the prefix with heap number k exists
    children: u64  # bit k: there is a node for the next six bits k
    first_value: u32  # array in PrefixTable.values, in order of heap numbers
    first_child: u32  # array in PrefixTable.nodes, in order of the six bits


class PrefixTable(View, align=64, size=960):
    """One table of prefixes. Written by its owner alone."""

    nodes: Blocks
    values: Blocks
    root: Node
    count: u64  # prefixes
    refused: u64  # prefixes for which there was no place
    depth: u32  # of the last node in `path`
    arrived: u32  # 1 when that node is the one looked for
    ancestors: Array[u64] = fixed(64, align=64)  # for six bits: the heap numbers of their first 0 to 5
    path: Array[u64] = fixed(_DEEPEST)  # addresses of the nodes that a change has come through
    bits: Array[u8] = fixed(_DEEPEST)  # the six bits of address that were taken there


@hot
def prefix_find(table: PrefixTable, high: int, low: int) -> int:
    """The value of the longest prefix of the address, or -1."""
    node = table.root
    best = -1
    while True:
        bits = (high >> 58) & 63
        match = node.prefixes & table.ancestors[bits]
        if match != 0:
            best = node.first_value + _below(node.prefixes, 63 - leading_zeros(match))
        if (node.children >> bits) & 1 == 0:
            break
        node = _child(table, node, bits)
        high = high << STRIDE | ((low >> 58) & 63)
        low = low << STRIDE
    return -1 if best < 0 else _values(table)[best]


@leaf
def prefix_find4(table: PrefixTable, address: int) -> int:
    """The value of the longest prefix of the IPv4 address, or -1."""
    return prefix_find(table, address << 32, 0)


@hot
def prefix_exact(table: PrefixTable, high: int, low: int, length: int) -> int:
    """The value of exactly this prefix of `length` bits, or -1."""
    node = _descend(table, high, low, length)
    number = _heap_number(table.bits[table.depth], length % STRIDE)
    if table.arrived == 0 or (node.prefixes >> number) & 1 == 0:
        return -1
    return _values(table)[node.first_value + _below(node.prefixes, number)]


@hot
def prefix_add(table: PrefixTable, high: int, low: int, length: int, value: int) -> bool:
    """Set the value of the prefix of `length` bits (0 to 128). False, and counted: no place."""
    node = _descend(table, high, low, length)
    while table.arrived == 0 and _add_child(table, node, table.bits[table.depth]):
        node = _descend(table, high, low, length)
    number = _heap_number(table.bits[table.depth], length % STRIDE)
    place = _below(node.prefixes, number)
    if table.arrived == 0 or ((node.prefixes >> number) & 1 == 0 and not _add_value(table, node, number, place)):
        table.refused += 1
        _prune(table)
        return False
    _values(table)[node.first_value + place] = value
    return True


@hot
def prefix_remove(table: PrefixTable, high: int, low: int, length: int) -> bool:
    """Remove the prefix of `length` bits; False when it is not there."""
    node = _descend(table, high, low, length)
    number = _heap_number(table.bits[table.depth], length % STRIDE)
    if table.arrived == 0 or (node.prefixes >> number) & 1 == 0:
        return False
    values = count_ones(node.prefixes)
    node.first_value = blocks_remove(table.values, node.first_value, values, _below(node.prefixes, number))
    node.prefixes &= ~(1 << number)
    table.count -= 1
    _prune(table)
    return True


@leaf
def prefix_add4(table: PrefixTable, address: int, length: int, value: int) -> bool:
    """Set the value of an IPv4 prefix of `length` bits (0 to 32)."""
    return prefix_add(table, address << 32, 0, length, value)


@leaf
def prefix_remove4(table: PrefixTable, address: int, length: int) -> bool:
    """Remove an IPv4 prefix; False when it is not there."""
    return prefix_remove(table, address << 32, 0, length)


@hot
def _descend(table: PrefixTable, high: int, low: int, length: int) -> Node:
    """Walk to the node for prefixes of this length: `path` and `bits` say the way, `arrived` whether it is there."""
    node = table.root
    depth = 0
    arrived = 1
    while True:
        bits = (high >> 58) & 63
        table.path[depth] = node.address
        table.bits[depth] = bits
        if depth == length // STRIDE:
            break
        if (node.children >> bits) & 1 == 0:
            arrived = 0
            break
        node = _child(table, node, bits)
        high = high << STRIDE | ((low >> 58) & 63)
        low = low << STRIDE
        depth += 1
    table.depth, table.arrived = depth, arrived
    return node


@hot
def _add_child(table: PrefixTable, node: Node, bits: int) -> bool:
    """Give the node an empty child for the next six bits."""
    first = blocks_insert(table.nodes, node.first_child, count_ones(node.children), _below(node.children, bits))
    if first == 0:
        return False
    node.first_child = first
    node.children |= 1 << bits
    return True


@hot
def _add_value(table: PrefixTable, node: Node, number: int, place: int) -> bool:
    """Make room for the value of a new prefix."""
    first = blocks_insert(table.values, node.first_value, count_ones(node.prefixes), place)
    if first == 0:
        return False
    node.first_value = first
    node.prefixes |= 1 << number
    table.count += 1
    return True


@hot
def _prune(table: PrefixTable) -> None:
    """Remove the nodes at the end of the path that hold nothing."""
    depth = table.depth
    while depth > 0:
        node = Node(table.path[depth])
        if node.prefixes != 0 or node.children != 0:
            return
        depth -= 1
        parent, bits = Node(table.path[depth]), table.bits[depth]
        children = parent.children
        place = _below(children, bits)
        parent.first_child = blocks_remove(table.nodes, parent.first_child, count_ones(children), place)
        parent.children = children & ~(1 << bits)


@leaf
def _heap_number(bits: int, length: int) -> int:
    """The heap number of the prefix that is the first `length` (0 to 5) of six bits."""
    return (1 << length) | (bits >> (STRIDE - length))


@leaf
def _below(bitmap: int, number: int) -> int:
    """How many bits under `number` are set."""
    return count_ones(bitmap & ((1 << number) - 1))


@leaf
def _child(table: PrefixTable, node: Node, bits: int) -> Node:
    """The child for six bits; it must exist."""
    return Node(table.nodes.base + (node.first_child + _below(node.children, bits)) * Node.SIZE)


@leaf
def _values(table: PrefixTable) -> Array[u32]:
    return array_at(u32, table.values.base)


@hot
def prefix_open(table: PrefixTable, nodes: int, node_limit: int, values: int, value_limit: int) -> None:
    """Make the table empty, with room for `node_limit` nodes and `value_limit` values at these addresses."""
    fill(table.address, 0, PrefixTable.SIZE)
    blocks_open(table.nodes, nodes, Node.SIZE, node_limit)
    blocks_open(table.values, values, 4, value_limit)
    for bits in range(64):
        numbers = 0
        for length in range(STRIDE):
            numbers |= 1 << _heap_number(bits, length)
        table.ancestors[bits] = numbers


@leaf
def prefix_nodes(capacity: int) -> int:
    """Nodes for `capacity` prefixes: hosts of IPv6 far from each other, and blocks half full."""
    return 2 * _DEEPEST * capacity + 256


@leaf
def prefix_values(capacity: int) -> int:
    """Values for `capacity` prefixes: blocks half full."""
    return 4 * capacity + 256


@hot
def prefix_lay(layout: Layout, capacity: int) -> int:
    """The address of a new table for `capacity` prefixes; 0: no room."""
    table = lay(layout, PrefixTable.SIZE, PrefixTable.ALIGN)
    nodes = lay(layout, prefix_nodes(capacity) * Node.SIZE, Node.ALIGN)
    values = lay(layout, 4 * prefix_values(capacity), 64)
    if layout.full != 0:
        return 0
    prefix_open(PrefixTable(table), nodes, prefix_nodes(capacity), values, prefix_values(capacity))
    return table


def create_prefix_table(arena: Arena, name: str, capacity: int, owner: int = -1) -> PrefixTable:
    """An empty table for `capacity` prefixes, in tables `name`.* of the arena; memory comes as they are added."""
    table: PrefixTable = arena.table(f"{name}.prefixes", PrefixTable, 1, owner)[0]
    node_limit, value_limit = prefix_nodes(capacity), prefix_values(capacity)
    nodes = arena.table(f"{name}.nodes", Node, node_limit, owner)
    values = arena.table(f"{name}.values", u32, value_limit, owner)
    prefix_open(table, nodes.address, node_limit, values.address, value_limit)
    return table
