from __future__ import annotations

import pytest

from .machine import can_listen, path_of


def test_a_program_is_found() -> None:
    assert path_of("sh").endswith("/sh")


def test_who_needs_a_program_that_is_not_there_is_skipped() -> None:
    with pytest.raises(pytest.skip.Exception, match="no-such-program is not installed"):
        path_of("no-such-program")


def test_servers_can_have_an_address_of_this_machine_alone() -> None:
    assert can_listen("127.0.0.1")
    # This one is for documentation: no machine has it (RFC 5737).
    assert not can_listen("192.0.2.1")
