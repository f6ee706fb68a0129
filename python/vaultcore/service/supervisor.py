"""The supervisor: keeps the workers of a service running, until it is told to stop.

A worker that dies is replaced at once; one that dies again and again, after a growing pause. A
worker whose pulse stops is killed and replaced. On SIGHUP, each worker is replaced by a new one,
and ends only when the new one answers; errors in the new settings are found before.
"""

import contextlib
import ctypes
import logging
import multiprocessing
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from multiprocessing import connection
from typing import Final, Protocol

from vaultcore.errors import VaultcoreError

#: How long a worker may be without a pulse before it is killed, in seconds.
WATCHDOG_SECONDS: Final = 20.0
#: How long a new worker may take to answer, in seconds.
START_SECONDS: Final = 120.0
#: How long a worker may take to end after it was asked to, in seconds.
KILL_SECONDS: Final = 10.0
#: After a worker has answered for this long, in seconds, earlier deaths no longer count.
STEADY_SECONDS: Final = 10.0
#: The pause after a second death, in seconds; it doubles with each one up to the longest.
FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 30.0
_TICK_SECONDS: Final = 1.0
_PR_SET_PDEATHSIG: Final = 1
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_FORK: Final = multiprocessing.get_context("fork")

logger = logging.getLogger("vaultcore.service")


class Work(Protocol):
    """The work of a worker process."""

    def __call__(self, slot: int, channel: socket.socket) -> None:
        """Runs until the process is told to end.

        Args:
            slot: the number of the worker, from 0.
            channel: where it sends a byte each second while it answers.
        """


class _Child:
    """One worker process.

    Attributes:
        slot: its number.
        process: the process.
        channel: where its pulse arrives.
        born: when it was started; all times are of the monotonic clock.
        heard: when its last pulse arrived, or when it was started.
        answering: since when it answers, or None.
        leaving: when it is killed if it has not ended by then, or None.
    """

    def __init__(self, slot: int, work: Work, inherited: list[socket.socket]) -> None:
        self.slot = slot
        self.channel, theirs = socket.socketpair()
        self.channel.setblocking(False)
        try:
            self.process = _FORK.Process(
                target=_enter,
                args=(work, slot, theirs, [*inherited, self.channel], os.getpid()),
                name=f"vaultcore-worker-{slot + 1}",
            )
            with _held():
                self.process.start()
        except BaseException:
            self.channel.close()
            raise
        finally:
            theirs.close()
        self.born = self.heard = time.monotonic()
        self.answering: float | None = None
        self.leaving: float | None = None

    def listen(self) -> bool:
        """Receives its pulse; returns whether there was one."""
        try:
            heard = bool(self.channel.recv(4096))
        except OSError:  # nothing there
            return False
        if heard:
            self.heard = time.monotonic()
            if self.answering is None:
                self.answering = self.heard
                logger.info("worker %d answers (process %d)", self.slot + 1, self.process.pid)
        return heard

    def leave(self) -> None:
        """Asks it to end."""
        if self.leaving is None:
            self.leaving = time.monotonic() + KILL_SECONDS
            self.process.terminate()

    def close(self) -> None:
        """Releases an ended process."""
        self.process.join()
        self.process.close()
        self.channel.close()


class _Slot:
    """A place for one worker.

    Attributes:
        number: from 0.
        current: its worker, or None between two.
        coming: the worker that will replace it, or None.
        deaths: how many workers ended here without having answered for long.
        due: when the next worker is started, if there is none.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.current: _Child | None = None
        self.coming: _Child | None = None
        self.deaths = 0
        self.due = 0.0


class Supervisor:
    """Keeps a number of workers running.

    Args:
        workers: how many.
        work: the work of each worker.
        renew: called on SIGHUP before any worker is replaced; it reads again what may have
            changed, and raises VaultcoreError or OSError if workers could not start with it.
        bypass: called with the number of a worker that is missing for longer, while others answer;
            it passes the connections of that worker to the others.
    """

    def __init__(
        self,
        workers: int,
        work: Work,
        renew: Callable[[], None],
        bypass: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._slots = [_Slot(number) for number in range(workers)]
        self._work = work
        self._renew = renew
        self._bypass = bypass
        self._leaving: list[_Child] = []
        self._renewing: list[_Slot] = []
        self._stopped = False
        self._asked_to_renew = False
        self._woken, self._wakes = socket.socketpair()
        for end in (self._woken, self._wakes):
            end.setblocking(False)

    def run(self) -> None:
        """Runs until SIGTERM or SIGINT, and until all workers have ended."""
        with self._signals():
            try:
                last = time.monotonic()
                while not self._stopped or self._children():
                    self._step(time.monotonic() - last)
                    last = time.monotonic()
                    self._sleep()
            finally:
                for child in self._children():
                    child.process.kill()
                    child.close()
                self._woken.close()
                self._wakes.close()

    # one step

    def _step(self, elapsed: float) -> None:
        self._reap()
        if elapsed > 5 * _TICK_SECONDS:
            # This process itself was stopped; missing pulses mean nothing.
            for child in self._children():
                child.heard += elapsed
        self._watch()
        if self._stopped:
            for child in self._children():
                self._dismiss(child)
            return
        if self._asked_to_renew:
            self._asked_to_renew = False
            self._begin_to_renew()
        self._replace()
        self._start()

    def _reap(self) -> None:
        """Notices which workers have ended."""
        for child in self._children():
            child.listen()
            if child.process.exitcode is None:
                continue
            status = child.process.exitcode
            if child in self._leaving:
                self._leaving.remove(child)
            else:
                self._lose(child, f"ended with status {status}")
            child.close()

    def _watch(self) -> None:
        """Kills workers that do not answer or do not end."""
        now = time.monotonic()
        for child in self._children():
            if child.leaving is not None:
                if now >= child.leaving:
                    logger.warning("worker %d did not end in time: killed", child.slot + 1)
                    child.process.kill()
                    child.leaving = now + KILL_SECONDS
                continue
            limit = START_SECONDS if child.answering is None else WATCHDOG_SECONDS
            if now - child.heard >= limit:
                child.process.kill()
                child.leaving = now + KILL_SECONDS
                self._leaving.append(child)
                self._lose(child, f"did not answer for {limit:g} seconds and was killed")

    def _lose(self, child: _Child, how: str) -> None:
        """Makes room for the successor of a lost worker."""
        slot = self._slots[child.slot]
        if child is slot.coming:
            slot.coming = None
            self._renewing.clear()
            logger.error("the new worker %d %s; the old workers continue", child.slot + 1, how)
            return
        now = time.monotonic()
        if child.answering is not None and now - child.answering >= STEADY_SECONDS:
            slot.deaths = 0
        pause = _pause(slot.deaths)
        slot.deaths += 1
        slot.due = now + pause
        slot.current, slot.coming = slot.coming, None
        others = [each.current for each in self._slots if each.current is not None]
        if slot.current is None and pause > 0 and any(each.answering for each in others):
            self._bypass(slot.number)
        after = "" if slot.current else f", the next one starts in {pause:.1f} seconds"
        logger.error("worker %d %s%s", child.slot + 1, how, after)

    def _start(self) -> None:
        """Starts the missing workers."""
        for slot in self._slots:
            if slot.current is None and time.monotonic() >= slot.due:
                slot.current = self._spawn(slot)

    def _spawn(self, slot: _Slot) -> _Child | None:
        others = [child.channel for child in self._children()]
        try:
            return _Child(slot.number, self._work, [*others, self._woken, self._wakes])
        except OSError as error:
            pause = max(FIRST_PAUSE, _pause(slot.deaths))
            slot.deaths += 1
            slot.due = time.monotonic() + pause
            logger.error(  # noqa: TRY400
                "worker %d cannot be started (%s); the next attempt is in %.1f seconds",
                slot.number + 1,
                error.strerror,
                pause,
            )
            return None

    # replacing

    def _begin_to_renew(self) -> None:
        try:
            self._renew()
        except (VaultcoreError, OSError) as error:
            logger.error("nothing was reloaded, the workers continue: %s", error)  # noqa: TRY400
            return
        logger.info("reloading: each worker is replaced when a new one answers")
        self._renewing = list(self._slots)

    def _replace(self) -> None:
        """Takes the next step of a replacement: one worker at a time."""
        while self._renewing:
            slot = self._renewing[0]
            if slot.current is None:
                # The next worker started here is a new one.
                slot.due = 0.0
            elif slot.coming is None:
                slot.coming = self._spawn(slot)
                if slot.coming is None:
                    self._renewing.clear()
                return
            elif slot.coming.answering is None:
                return
            else:
                old, slot.current, slot.coming = slot.current, slot.coming, None
                slot.deaths = 0
                self._dismiss(old)
                logger.info("worker %d was replaced", slot.number + 1)
            self._renewing.pop(0)

    def _dismiss(self, child: _Child) -> None:
        slot = self._slots[child.slot]
        if slot.current is child:
            slot.current = None
        if slot.coming is child:
            slot.coming = None
        if child not in self._leaving:
            self._leaving.append(child)
        child.leave()

    # waiting

    def _children(self) -> list[_Child]:
        found = [*self._leaving]
        for slot in self._slots:
            found += [child for child in (slot.current, slot.coming) if child is not None]
        return found

    def _sleep(self) -> None:
        now = time.monotonic()
        due = [slot.due - now for slot in self._slots if slot.current is None and not self._stopped]
        waited: list[int | socket.socket] = [
            *(child.process.sentinel for child in self._children()),
            *(child.channel for child in self._children() if child.answering is None),
            self._woken,
        ]
        connection.wait(waited, max(0.0, min([_TICK_SECONDS, *due])))
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        def stop(*_: object) -> None:
            self._stopped = True

        def renew(*_: object) -> None:
            self._asked_to_renew = True

        handlers = dict.fromkeys(_SIGNALS, stop) | {signal.SIGHUP: renew}
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        woken = signal.set_wakeup_fd(self._wakes.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(woken)
            for number, handler in before.items():
                signal.signal(number, handler)


def _pause(deaths: int) -> float:
    """Returns how long to wait after so many deaths in a row; not the same for all workers."""
    if deaths == 0:
        return 0.0
    longest = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(deaths - 1, 16))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, hides nothing


@contextlib.contextmanager
def _held() -> Iterator[None]:
    """Blocks signals, so that none reaches a child with the handlers of its parent."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _enter(
    work: Work, slot: int, channel: socket.socket, inherited: list[socket.socket], parent: int
) -> None:
    """Begins a worker process."""
    signal.set_wakeup_fd(-1)
    for number in _SIGNALS:
        # Closing the terminal concerns the service; the supervisor tells its workers.
        signal.signal(number, signal.SIG_IGN if number == signal.SIGHUP else signal.SIG_DFL)
    _die_with(parent)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for other in inherited:
        other.close()
    try:
        work(slot, channel)
    except (VaultcoreError, OSError) as error:
        logger.error("worker %d cannot work: %s", slot + 1, error)  # noqa: TRY400
        sys.exit(1)


def _die_with(parent: int) -> None:
    """Has this process killed when its parent dies, however that happens."""
    libc = ctypes.CDLL(None)
    if hasattr(libc, "prctl"):  # Linux
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
