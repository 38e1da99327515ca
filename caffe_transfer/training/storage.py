"""How a run stores the databases of its study: as views, all at once, or within a limit."""

import threading
from dataclasses import dataclass, replace

from caffe_transfer.data_prep.databases import replace_views
from caffe_transfer.data_prep.disk import disk_estimate, estimated_sizes
from caffe_transfer.data_prep.plan import data_sets
from caffe_transfer.data_prep.progress import OnStep, stoppable
from caffe_transfer.data_prep.removable import sizes_of
from caffe_transfer.errors import BadInput
from caffe_transfer.paths import RunFolder
from caffe_transfer.studies.study import VIEW, Study
from caffe_transfer.training.bounded import BoundedDatabases, demand_of
from caffe_transfer.training.disk_plan import DiskPlan, disk_plan
from caffe_transfer.training.schedule import InOrder, Turns
from caffe_transfer.units import size, size_above


def takes_views(study: Study, reads_views: bool) -> bool:
    """Whether data sets that are part of another's database are views of it.

    Raises:
        BadInput: the study wants views, and the engine cannot read them.
    """
    wanted = study.images.databases
    if wanted == VIEW and not reads_views:
        raise BadInput(
            f'study {study.name!r} has images.databases = "{VIEW}", which only caffe-torch can '
            "read; leave that out, or choose --engine caffe-torch"
        )
    return reads_views if wanted is None else wanted == VIEW


@dataclass(frozen=True)
class Storage:
    """How a run's databases are stored.

    Attributes:
        views: data sets that are part of another's database are views of it.
        limit: the most bytes of databases at any moment; None for as many as there are.
    """

    views: bool
    limit: int | None

    @property
    def begins_with_views(self) -> bool:
        """Whether views are made first, of which `turns` makes databases."""
        return self.views or self.limit is not None

    def estimate(self, study: Study, folder: RunFolder | None) -> int | None:
        """The most bytes that databases take at any moment, None where that is not known.

        Args:
            folder: of the run, whose trained networks need none any more; None for a new one.

        Raises:
            BadInput: the limit is too small.
        """
        total = disk_estimate(study, self.views)
        if self.limit is None or total is None or total <= self.limit:
            return total
        sizes = estimated_sizes(study)
        if self.views or sizes is None:
            raise self._too_small(study, total)
        demand_of(study, sizes, self.limit, folder)
        return self.limit

    def turns(
        self, study: Study, folder: RunFolder, progress: OnStep, stop: threading.Event
    ) -> Turns:
        """The turns of networks whose data is prepared; what fits into the limit is made now.

        Raises:
            BadInput: the limit is too small.
            Interrupted: `stop` was set.
        """
        if self.limit is None:
            return InOrder()
        sets = data_sets(study)
        sizes = sizes_of(sets, folder.data)
        if self.views and sizes.kept > self.limit:
            raise self._too_small(study, sizes.kept)
        if not self.views and sizes.total > self.limit:
            demand = demand_of(study, sizes, self.limit, folder)
            return BoundedDatabases(demand, folder.data, progress, stop)
        if not self.views:
            replace_views(sets, folder.data, stoppable(progress, stop))
        return InOrder()

    def _too_small(self, study: Study, total: int) -> BadInput:
        return BadInput(
            f"{size(self.limit)} are too few for the databases of study {study.name!r}, of which "
            f"none can be removed; give --disk {size_above(total)} or more"
        )


def plan_within(study: Study, limit: int, reads_views: bool) -> DiskPlan | None:
    """How a new run makes and removes databases within a limit.

    Args:
        reads_views: the engine reads views.

    Returns:
        None where all are made beforehand, or where the number of images is not known.

    Raises:
        BadInput: the limit is too small, or the study wants views that the engine cannot read.
    """
    storage = Storage(takes_views(study, reads_views), limit)
    storage.estimate(study, None)  # refuses a limit that is too small
    sizes = estimated_sizes(study)
    if storage.views or sizes is None or sizes.total <= limit:
        return None
    plan = disk_plan(demand_of(study, sizes, limit, None))
    return replace(plan, peak=sizes.kept + plan.peak)
