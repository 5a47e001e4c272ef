# SPDX-License-Identifier: Apache-2.0
"""The series that `heaptide.open` gives: the model's, and what the analyses say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from heaptide.model.series import Series as ModelSeries

if TYPE_CHECKING:
    from heaptide.analysis.growth.result import Growth
    from heaptide.analysis.ledger import Ledger
    from heaptide.model.snapshot import Snapshot


class Series(ModelSeries):
    """The snapshots of one recording, its verdict and its ledger: what `heaptide growth` and `ledger` print."""

    @classmethod
    def of(cls, series: ModelSeries) -> Self:
        """The same series (its source and what was read already are shared) with the analyses beside it."""
        public = cls.__new__(cls)
        vars(public).update(vars(series))
        return public

    def growth(self, **options: Any) -> Growth:
        """What grows, how fast, how surely, and where.

        Args:
            options: `start`, `end` (moments), `min_rate` (bytes per second), `not_mine` (a compiled pattern),
                `suppress`; see `heaptide.analysis.growth.judge`.

        Raises:
            UsageError: a moment makes no sense.
            NothingToShow: the recording holds no snapshot.
        """
        from heaptide.analysis.growth.judge import judge

        return judge(self, **options)

    def ledger(self, at: str | int | Snapshot = "end") -> Ledger:
        """Where the resident memory is at a moment, in bytes by named part.

        Raises:
            UsageError: the moment makes no sense.
            NothingToShow: the recording has no reading of pages up to that moment.
        """
        from heaptide.analysis.ledger import ledger

        return ledger(self, at)
