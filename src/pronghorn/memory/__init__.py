"""Where everything lies: the arena, and the structures every table is made of. They know memory, and nothing of
packets.

Index only: a structure stores numbers (indexes of records), and the records lie in their owner's table.
"""

from pronghorn.memory.arena import Arena
from pronghorn.memory.directory import ArenaError, Table
from pronghorn.memory.pool import (
    Chunk,
    LargeChunk,
    Pool,
    PoolCache,
    create_pool,
    pool_chunk,
    pool_free_count,
    pool_get,
    pool_get_many,
    pool_index,
    pool_put,
    pool_put_many,
    pool_reset,
)

__all__ = [
    "Arena",
    "ArenaError",
    "Chunk",
    "LargeChunk",
    "Pool",
    "PoolCache",
    "Table",
    "create_pool",
    "pool_chunk",
    "pool_free_count",
    "pool_get",
    "pool_get_many",
    "pool_index",
    "pool_put",
    "pool_put_many",
    "pool_reset",
]
