"""What the machine code of loads looks like to the optimiser."""

from __future__ import annotations

import pytest

from pronghorn.compiled import mode


@pytest.mark.skipif(mode() == "interpreted", reason="there is no machine code")
def test_neighbouring_elements_are_loaded_together() -> None:
    """Offsets are pointer arithmetic: else a loop over an array gathers its elements one by one, eight times slower."""
    from pronghorn.compiled.backend import units
    from pronghorn.compiled.functions import FUNCTIONS
    from pronghorn.wire import checksum

    functions = FUNCTIONS[checksum.__name__]
    module = units.link(functions)
    units.optimise(module, units.host_machine())
    text = next(str(f) for f in module.functions if f.name == "wire_checksum_add")
    assert "masked.gather" not in text
    assert "load <" in text
