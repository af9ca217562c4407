"""Places, turns and estimates, on a clock that the tests turn."""

from __future__ import annotations

import pytest

from server.admission import (
    Admission,
    Caller,
    DeadlineTooShort,
    Draining,
    Overloaded,
    Ticket,
    TooManyStreams,
)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def admission(clock):
    """One worker, room for four more, and chance that always says the most."""
    return Admission(
        "poems", workers=1, waiting=4, retry_after_ms=100, clock=clock, chance=lambda: 1.0, client_streams=4
    )


def enter(admission, name="", deadline=float("inf")):
    ticket = Ticket(Caller(name, deadline))
    return ticket, admission.enter(ticket)


def run(admission, clock, seconds):
    """Begin the next and end it after so many seconds."""
    ticket = admission.begin()
    clock.now += seconds
    admission.leave(ticket)
    return ticket


def test_places_are_taken_and_given_back(admission, clock):
    first, _ = enter(admission)
    assert (admission.waiting, admission.running, admission.in_use, admission.places) == (1, 0, 1, 5)
    assert admission.begin() is first
    assert (admission.waiting, admission.running) == (0, 1)
    enter(admission)
    assert admission.begin() is None
    admission.leave(first)
    assert admission.in_use == 1
    run(admission, clock, 1.0)
    assert admission.in_use == 0


def test_who_waits_may_leave(admission):
    enter(admission)
    second, _ = enter(admission)
    admission.leave(second)
    assert admission.waiting == 1
    with pytest.raises(KeyError):
        admission.leave(Ticket(Caller("stranger")))


def test_clients_take_turns(admission):
    order = [enter(admission, name)[0].caller.name for name in ("a", "a", "a", "b", "c")]
    assert order == ["a", "a", "a", "b", "c"]
    served = []
    while (ticket := admission.begin()) is not None:
        served.append(ticket.caller.name)
        admission.leave(ticket)
    assert served == ["a", "b", "c", "a", "a"]


def test_a_client_that_comes_back_does_not_jump_the_queue(admission):
    enter(admission, "a")
    enter(admission, "b")
    admission.leave(admission.begin())
    enter(admission, "a")
    assert admission.begin().caller.name == "b"


def test_in_a_full_house_the_longest_queue_gives_way(admission):
    tickets = [enter(admission, "greedy")[0] for _ in range(4)]
    assert admission.begin() is tickets[0]
    enter(admission, "other")
    newcomer, displaced = enter(admission, "modest")
    assert displaced is tickets[3]
    assert (admission.waiting, admission.in_use) == (4, 5)
    # Two of the greedy one wait now, and one of each other: a second one of theirs has no better right.
    with pytest.raises(Overloaded):
        enter(admission, "modest")
    assert admission.begin() is None
    admission.leave(newcomer)
    assert admission.in_use == 4


def test_a_full_house_of_equals_refuses_and_says_when_to_come(admission, clock):
    enter(admission, "x")
    run(admission, clock, 2.0)
    for name in "abcde":
        enter(admission, name)
        admission.begin()
    with pytest.raises(Overloaded) as caught:
        enter(admission, "f")
    # Four wait, and each takes two seconds.
    assert caught.value.retry_after_ms == 8000
    assert "all 5 places for poems are taken" in str(caught.value)


@pytest.mark.parametrize(("seconds", "expected"), [(0.001, 100), (1.0, 4000), (1000.0, 30_000)])
def test_the_time_to_come_again_has_bounds(admission, clock, seconds, expected):
    enter(admission, "x")
    run(admission, clock, seconds)
    for name in "abcde":
        enter(admission, name)
        admission.begin()
    with pytest.raises(Overloaded) as caught:
        enter(admission, "f")
    assert caught.value.retry_after_ms == expected


def test_one_client_has_only_so_many_places(clock):
    admission = Admission("poems", workers=8, waiting=0, client_streams=2, clock=clock)
    tickets = [enter(admission, "a")[0] for _ in range(2)]
    admission.begin()
    with pytest.raises(TooManyStreams):
        enter(admission, "a")
    enter(admission, "b")
    admission.leave(tickets[0])
    enter(admission, "a")


def test_work_that_is_done_at_once_is_refused_like_any_other_and_takes_no_place(clock):
    admission = Admission("work", workers=1, waiting=1, client_streams=1, clock=clock)

    def unasked() -> str:
        raise AssertionError("nobody is here whose name could matter")

    admission.check(unasked)
    assert admission.in_use == 0
    enter(admission, "a")
    admission.check(lambda: "b")
    with pytest.raises(TooManyStreams):
        admission.check(lambda: "a")
    enter(admission, "b")
    with pytest.raises(Overloaded, match="all 2 places"):
        admission.check(lambda: "c")
    admission.close(Draining)
    with pytest.raises(Draining):
        admission.check(unasked)


def test_nothing_is_remembered_of_clients_that_are_gone(admission, clock):
    for number in range(100):
        enter(admission, f"client {number}")
        run(admission, clock, 0.1)
    assert not admission._by_client
    assert not admission._turns._queues


def test_what_cannot_begin_in_time_is_refused_at_once(admission, clock):
    enter(admission, "x")
    run(admission, clock, 4.0)
    enter(admission, "a")
    admission.begin()
    clock.now += 1.0
    # The worker is free in three seconds.
    with pytest.raises(DeadlineTooShort, match=r"begin in about 3\.0 s here, and the deadline is in 2\.9 s"):
        enter(admission, "b", clock.now + 2.9)
    enter(admission, "b", clock.now + 3.1)
    # The next one waits for that too.
    with pytest.raises(DeadlineTooShort) as caught:
        enter(admission, "c", clock.now + 6.9)
    assert caught.value.retry_after_ms == 7000
    enter(admission, "c", clock.now + 7.1)


def test_the_estimate_knows_whose_turn_it_is(admission, clock):
    enter(admission, "x")
    run(admission, clock, 1.0)
    for _ in range(4):
        enter(admission, "greedy")
        admission.begin()
    assert admission.wait_for("greedy") == pytest.approx(4.0)
    assert admission.wait_for("modest") == pytest.approx(2.0)


def test_a_free_worker_means_no_wait_however_long_work_takes(admission, clock):
    enter(admission, "x")
    run(admission, clock, 1000.0)
    enter(admission, "a", clock.now + 0.001)


def test_work_that_takes_longer_than_usual_is_expected_to_end_now(admission, clock):
    enter(admission, "x")
    run(admission, clock, 1.0)
    enter(admission, "a")
    admission.begin()
    clock.now += 10.0
    assert admission.wait_for("b") == 0.0


def test_the_mean_follows_what_work_takes(admission, clock):
    assert admission.service_seconds == 0.0
    for _ in range(100):
        enter(admission)
        run(admission, clock, 2.0)
    assert admission.service_seconds == pytest.approx(2.0)
    for _ in range(100):
        enter(admission)
        run(admission, clock, 5.0)
    assert admission.service_seconds == pytest.approx(5.0, rel=0.01)


def test_a_closed_admission_admits_nobody_until_it_is_opened(admission):
    admission.close(Draining)
    with pytest.raises(Draining):
        enter(admission)
    admission.open()
    enter(admission)
