"""A second thing at the same time."""

import threading

from lockstep.kernel.stage import beside

import pytest


def fail(error):
    raise error


def test_both_go_on_at_once():
    met = threading.Barrier(2, timeout=60)
    with beside(met.wait) as place:
        here = met.wait()
    assert {here, place()} == {0, 1}


def test_the_block_ends_when_both_have_ended():
    begun, done = threading.Event(), []

    def slow():
        begun.wait(60)
        done.append(True)

    with beside(slow):
        begun.set()
    assert done


@pytest.mark.parametrize("block", [None, ValueError("of the block")], ids=["alone", "both"])
def test_the_error_of_the_function_is_told(block):
    with pytest.raises(OSError, match="of the function"), beside(lambda: fail(OSError("of the function"))):
        if block is not None:
            raise block


def test_the_error_of_the_block():
    with pytest.raises(ValueError, match="of the block"), beside(int):
        raise ValueError("of the block")
