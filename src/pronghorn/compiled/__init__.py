"""Python in, native code out: typed views over memory, and the decorators that compile functions on them.

The only package that imports Numba, and only when something has to be compiled. Start with `views` and `functions`.

views  scalars     memory as declared records         functions  leaf, hot, cold, entry
intrinsics         what the machine offers            hashing  sequence   the two arithmetics that wrap
siphash            a hash for what strangers see
modes  native      which way this process runs        keys       stale code is impossible
backend/           one function to machine code       build  header       libpronghorn.so and its C header
bounds  checker    the bounds-check mode          subset     the language: what compiles, and what is refused
constants          numbers for the C header
"""

from pronghorn.compiled import bounds, hashing, sequence
from pronghorn.compiled.constants import constants
from pronghorn.compiled.functions import cold, entry, hot, leaf, quick, whole_program
from pronghorn.compiled.intrinsics import (
    compare_exchange32,
    compare_exchange64,
    copy,
    count_ones,
    cycles,
    external,
    fence,
    fetch_add32,
    fetch_add64,
    fill,
    leading_zeros,
    load8,
    load16,
    load32,
    load64,
    load_be16,
    load_be32,
    load_be64,
    move,
    pause,
    prefetch,
    same,
    store8,
    store16,
    store32,
    store64,
    store_be16,
    store_be32,
    store_be64,
    swap64,
    trailing_zeros,
)
from pronghorn.compiled.modes import mode
from pronghorn.compiled.scalars import au32, au64, be16, be32, be64, i8, i16, i32, i64, u8, u16, u32, u64
from pronghorn.compiled.views import Array, Const, View, array_at, field, fixed

__all__ = [
    "Array",
    "Const",
    "View",
    "array_at",
    "au32",
    "au64",
    "be16",
    "be32",
    "be64",
    "bounds",
    "cold",
    "compare_exchange32",
    "compare_exchange64",
    "constants",
    "copy",
    "count_ones",
    "cycles",
    "entry",
    "external",
    "fence",
    "fetch_add32",
    "fetch_add64",
    "field",
    "fill",
    "fixed",
    "hashing",
    "hot",
    "i8",
    "i16",
    "i32",
    "i64",
    "leading_zeros",
    "leaf",
    "load8",
    "load16",
    "load32",
    "load64",
    "load_be16",
    "load_be32",
    "load_be64",
    "mode",
    "move",
    "pause",
    "prefetch",
    "quick",
    "same",
    "sequence",
    "store8",
    "store16",
    "store32",
    "store64",
    "store_be16",
    "store_be32",
    "store_be64",
    "swap64",
    "trailing_zeros",
    "u8",
    "u16",
    "u32",
    "u64",
    "whole_program",
]
