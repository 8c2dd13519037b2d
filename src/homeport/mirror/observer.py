"""Who watches a job while it runs."""

from homeport.mirror.plan import Bound, Wanted
from homeport.mirror.result import ImageResult
from homeport.quota.reading import Reading
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

    def pulls_expected(self, registry: str, pulls: Bound, reading: Reading) -> None:
        """So many pulls are to be counted at a registry that limits them; none of these is spent yet."""

    def limit_reached(self, message: str, seconds: float) -> None:
        """A pull limit is used up; a manifest is asked for again after so many seconds."""

    def image_finished(self, result: ImageResult) -> None:
        """An image is there, or has failed."""
