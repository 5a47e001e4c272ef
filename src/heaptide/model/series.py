# SPDX-License-Identifier: Apache-2.0
"""A series: the snapshots of one recording, each of which can be turned into a profile."""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from heaptide._errors import NothingToShow, UsageError
from heaptide.model import moments
from heaptide.model.changes import Changes
from heaptide.model.histories import Histories
from heaptide.model.images import Image
from heaptide.model.profile import Ints, Profile
from heaptide.model.snapshot import Snapshot
from heaptide.model.survivors import Survivors


class Source(Protocol):
    """Where a series gets its profiles from."""

    def profile(self, index: int) -> Profile:
        """The profile at `snapshots[index]`, symbols resolved. The first call may be slow."""
        ...


@runtime_checkable
class Past(Protocol):
    """A source that knows all moments at once. A foreign file, which has one, does not."""

    def histories(self, ids: Ints, group: Ints, count: int, at: Ints) -> Histories:
        """See `Series.histories`."""
        ...


@runtime_checkable
class Counters(Protocol):
    """A source that knows what became of each stack between any two moments."""

    def changes(self, at: Ints) -> Changes:
        """See `Series.changes`."""
        ...


@runtime_checkable
class Registry(Protocol):
    """A source that knows when that which is in use was allocated."""

    def survivors(self, index: int) -> Survivors | None:
        """See `Series.survivors`; None where nothing was read up to `snapshots[index]`."""
        ...

    def survivors_profile(self, survivors: Survivors, index: int) -> Profile:
        """See `Series.born`."""
        ...


class Series:
    """The snapshots of one recording. Opening one is cheap: stacks are symbolised when a profile is asked for."""

    def __init__(
        self,
        path: str,
        mode: Literal["exact", "sampled"],
        snapshots: Sequence[Snapshot],
        source: Source,
        *,
        warnings: Sequence[str] = (),
        live: bool = False,
        complete: bool = True,
        started_realtime_ns: int = 0,
        command: Sequence[str] = (),
        pid: int | None = None,
        damaged: bool = False,
        costs: Mapping[str, int] | None = None,
        mappings: "Series | None" = None,
        images: Sequence[Image] = (),
    ) -> None:
        self.path = path
        self.mode: Literal["exact", "sampled"] = mode
        self.snapshots = tuple(snapshots)
        """In the order in which they were taken; their numbers rise."""
        self.warnings = list(warnings)
        """What a reader of the numbers has to know: damage, losses, late cuts. In order of importance."""
        self.live = live
        """The recording is still being written."""
        self.complete = complete
        """The recording was finished in order."""
        self.started_realtime_ns = started_realtime_ns
        """When recording began, nanoseconds since 1970."""
        self.command = tuple(command)
        """The program and its arguments, when known."""
        self.pid = pid
        self.damaged = damaged
        """Parts of the file could not be read (cut, overwritten); `warnings` say which. The command line exits 3."""
        self.costs: Mapping[str, int] = costs or {}
        """What the tool itself took, as it last said: `agent_bytes` (inside the program), `recorder_cpu_ns`,
        `recorder_rss_bytes`. Empty where nobody said."""
        self.mappings = mappings
        """The same moments of what the program mapped itself (mmap, mremap, brk), every mapping counted. None where
        nobody looked. Never part of this series' own numbers."""
        self.images = tuple(images)
        """The program and libraries that were loaded at any time, in the order in which they were first met. Empty for
        foreign files, whose `Profile.columns` say where things lay."""
        self._source = source
        self._index = {snapshot.number: index for index, snapshot in enumerate(self.snapshots)}

    def at(self, moment: "str | int | Snapshot" = "end") -> Profile:
        """The profile at a moment.

        Args:
            moment: as on the command line (see `heaptide.model.moments`), a snapshot number, or a `Snapshot`.

        Raises:
            UsageError: the text is no moment, or lies outside the recording; the snapshot is another series'.
            NothingToShow: there is no snapshot at all.
        """
        return self._source.profile(self._index[self.moment(moment).number])

    @property
    def tells_histories(self) -> bool:
        """Whether `histories` answers: a capture knows what every stack did, another tool's file has moments alone."""
        return isinstance(self._source, Past)

    def histories(self, ids: Ints, group: Ints, count: int, at: Ints) -> Histories:
        """What groups of stacks had allocated and freed at many snapshots. No symbol is looked up.

        Args:
            ids: stack ids, ascending, as `Profile.ids` has them.
            group: for each of `ids` its group, from 0.
            count: how many groups.
            at: indices into `snapshots`, ascending.

        Raises:
            NothingToShow: the series is of a file that holds a single profile.
        """
        if not isinstance(self._source, Past):
            raise NothingToShow(f"{self.path} holds one moment", hint="growth needs a capture: heaptide run -- COMMAND")
        return self._source.histories(ids, group, count, at)

    def changes(self, at: Ints) -> Changes | None:
        """What every stack allocated and freed between snapshots. No symbol is looked up.

        The stacks are those of the profile at the last snapshot, in its order. None where the file holds profiles of
        which nothing says which stacks are the same (any but a capture): then their frames have to tell.

        Args:
            at: indices into `snapshots`, ascending.
        """
        return self._source.changes(at) if isinstance(self._source, Counters) else None

    def survivors(self, at: "str | int | Snapshot" = "end") -> Survivors:
        """What was in use by when it was allocated, as last read up to a moment. No symbol is looked up.

        Raises:
            UsageError: as `at`.
            NothingToShow: nothing was read up to then (a short run), or the file does not tell ages.
        """
        moment = self.moment(at)
        found = None
        if isinstance(self._source, Registry):
            found = self._source.survivors(self._index[moment.number])
        if found is None:
            raise NothingToShow(
                f"{self.path} does not tell up to #{moment.number} when that which is in use was allocated",
                hint="a capture does, from its first snapshots on",
            )
        return found

    def born(
        self,
        after: "str | int | Snapshot",
        until: "str | int | Snapshot",
        at: "str | int | Snapshot" = "end",
    ) -> Profile:
        """What was allocated after one moment and until another, and is in use at a third: `inuse_space`,
        `inuse_objects`, estimates in every mode. The word `start` as the first moment means from the beginning.

        Raises as `survivors`.
        """
        first, last = self.moment(after), self.moment(until)
        low = 0 if after == "start" else first.number
        found = self.survivors(at).born_between(low, last.number)
        assert isinstance(self._source, Registry)  # survivors() asked it
        return self._source.survivors_profile(found, self._index[self.moment(at).number])

    def moment(self, moment: "str | int | Snapshot") -> Snapshot:
        """The snapshot that a moment means. Raises as `at`."""
        if isinstance(moment, Snapshot):
            index = self._index.get(moment.number)
            if index is None or self.snapshots[index] != moment:
                raise UsageError(f"snapshot #{moment.number} is not one of {self.path}")
            return moment
        text = f"#{moment}" if isinstance(moment, int) else moment
        return moments.find(text, self.snapshots, live=self.live, started_realtime_ns=self.started_realtime_ns)

    @property
    def duration_s(self) -> float:
        """Seconds from the start of recording to the last snapshot."""
        return self.snapshots[-1].offset_s if self.snapshots else 0.0
