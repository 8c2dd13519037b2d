"""Who watches a job while it runs."""

from homeport.mirror.expected import Expected
from homeport.mirror.plan import Wanted
from homeport.mirror.result import ImageResult
from homeport.reference import Reference


class Observer:
    """Is told what happens, by many threads; the methods do nothing here and are quick elsewhere."""

    def job_started(self, images: int) -> None:
        """So many images are looked at now, besides those of before."""

    def image_started(self, wanted: Wanted) -> None:
        """An image is looked at."""

    def bytes_expected(self, count: int, image: Reference) -> None:
        """So many more bytes are to be copied for an image; negative where fewer are than was thought. What images share counts for one."""

    def bytes_copied(self, count: int, image: Reference) -> None:
        """So many more bytes of an image have gone to the target; negative where they must go again."""

    def pulls_expected(self, expected: Expected) -> None:
        """Pulls are to be counted at a registry that limits them; none of these is spent yet."""

    def quota_shared(self, registry: str, others: int) -> None:
        """So many pulls were counted meanwhile beside those of the job: somebody else uses the same quota."""

    def limit_reached(self, message: str, seconds: float) -> None:
        """A pull limit is used up; a manifest is asked for again after so many seconds."""

    def image_finished(self, result: ImageResult) -> None:
        """An image is there, or has failed."""
