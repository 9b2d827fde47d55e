"""What every process of the tests would do for itself: `./do test` has it done once, beside the native library.

All test modules are imported, so that Python and pytest keep what they compile of them; and each file's data-plane
functions are compiled, for jit finds them in the cache then. What fails here fails in the tests too, and says why
there.
"""

from __future__ import annotations

import sys

import pytest

COLLECT = ["--collect-only", "-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=--import-mode=importlib"]


def main() -> int:
    status = pytest.main(COLLECT)
    from pronghorn.compiled.backend.units import object_of
    from pronghorn.compiled.functions import FUNCTIONS
    from pronghorn.compiled.subset import Refused

    for functions in list(FUNCTIONS.values()):
        try:
            object_of(list(functions))
        except Refused:  # on purpose, in the tests of that
            continue
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
