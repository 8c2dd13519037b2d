"""What became of a job: image by image, and in all."""

from typing import Literal

import msgspec

from homeport.mirror.plan import Wanted

Status = Literal["copied", "present", "failed"]


class ImageResult(msgspec.Struct, frozen=True):
    """What became of one image. `error` says what failed, `hint` what to do, `note` what else is worth knowing.

    `digest` is that of the source; `rebuilt` is the other one that an index has which was made anew for the target.
    """

    wanted: Wanted
    status: Status
    digest: str | None = None
    error: str = ""
    hint: str = ""
    note: str = ""
    rebuilt: str = ""


class Traffic(msgspec.Struct, frozen=True):
    """What a job asked for: requests (logins, redirects and retries not counted), manifest GETs, bytes of blobs."""

    source: int = 0
    target: int = 0
    counted_pulls: int = 0
    bytes: int = 0


class MirrorResult(msgspec.Struct, frozen=True):
    """What became of all images, in the order in which they were asked for."""

    images: tuple[ImageResult, ...]
    traffic: Traffic

    @property
    def failed(self) -> tuple[ImageResult, ...]:
        """The images that are not at the target."""
        return tuple(image for image in self.images if image.status == "failed")
