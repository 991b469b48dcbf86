"""What a LeakReport says about the profiles that were taken: bounded, and free of what could be a secret."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from leakwarden.api.v1alpha1.schema import LenientModel

MAX_SUSPECTS = 5
MAX_PROFILES = 8
MAX_DESCRIPTORS = 20
MAX_DESCRIPTOR_LINE = 256
SHORT_PLACE = 30


class EvidenceState(StrEnum):
    CAPTURED = "Captured"
    PARTIAL = "Partial"
    FAILED = "Failed"
    SKIPPED = "Skipped"


class SuspectStatus(LenientModel):
    """One place in the team's own code that is suspected of the leak."""

    shape: str = Field(default="", max_length=64, description="The kind of leak, such as ResponseBodyNotClosed.")
    function: str = Field(default="", max_length=512, description="The function, with its package.")
    file: str = Field(
        default="", max_length=512, description="The source file, without the build machine's directories."
    )
    line: int = Field(default=0, description="The line; 0 where it is not known.")
    count: int = Field(default=0, description="How many goroutines or objects are held there.")
    per_second: float | None = Field(default=None, description="How many more each second, between two captures.")
    confidence: str = Field(default="", max_length=16, description="High, Medium or Low.")
    explains: float | None = Field(
        default=None,
        description="How much of the growth of goroutines, or of the heap, this line explains: 0 to 1. Absent where nothing"
        " grew between the captures.",
    )
    explanation: str = Field(default="", max_length=1024, description="What was seen, and the usual fix.")


class BaselineStatus(LenientModel):
    """What a healthy pod of the same template had, which growth is counted from."""

    taken_at: str = Field(json_schema_extra={"format": "date-time"}, description="When it was counted.")
    goroutines: int = Field(default=0, description="Goroutines at the sites that are kept.")
    heap_bytes: int = Field(default=0, description="Bytes in use at the sites that are kept.")
    sites: int = Field(default=0, description="How many sites, lines with their callers, are kept: 256 at most.")


class ProfileStatus(LenientModel):
    """One profile that was taken."""

    kind: str = Field(max_length=32, description="goroutine, heap or goroutineleak.")
    taken_at: str = Field(json_schema_extra={"format": "date-time"}, description="When it was taken.")
    bytes: int = Field(default=0, description="Its size as stored.")
    sha256: str = Field(default="", max_length=64, description="Its checksum, hexadecimal.")
    location: str = Field(
        default="",
        max_length=512,
        description="Where it is kept: s3://BUCKET/KEY, or a path on the operator's volume; empty where nothing is kept.",
    )


class DescriptorReaderStatus(LenientModel):
    """The ephemeral container that reads open descriptors. Written before it is added to the pod, where it stays."""

    container: str = Field(max_length=63, description="Its name in the pod.")
    target: str = Field(
        default="", max_length=63, description="The container that it looks into; empty: not known yet."
    )
    intended_at: str = Field(
        json_schema_extra={"format": "date-time"}, description="When it was decided to add it; what follows came later."
    )
    finished_at: str | None = Field(
        default=None,
        json_schema_extra={"format": "date-time"},
        description="When its answer was there, or why there is none. Absent: the operator stopped before it knew.",
    )
    reason: str = Field(
        default="", max_length=64, description="A CamelCase word for why nothing was read; empty if it was."
    )
    message: str = Field(default="", max_length=1024, description="The same in one line for people.")


class EvidenceStatus(LenientModel):
    """What was captured from the pod before it was acted on."""

    state: EvidenceState = Field(
        description="Captured: all profiles asked for. Partial: some of them. Failed: none. Skipped: not attempted, the"
        " reason says why."
    )
    reason: str = Field(default="", max_length=64, description="A CamelCase word for why not all was captured.")
    message: str = Field(default="", max_length=1024, description="The same in one line for people.")
    attempted_at: str | None = Field(
        default=None, json_schema_extra={"format": "date-time"}, description="When the capture began."
    )
    summary: str = Field(
        default="", max_length=512, description="The first suspect in one line; where nothing grew, what was looked at."
    )
    suspect: str = Field(
        default="",
        max_length=SHORT_PLACE,
        description="The first suspect's file and line in short, for a table; its function where the file is not known.",
    )
    suspects: list[SuspectStatus] = Field(
        default_factory=list, max_length=MAX_SUSPECTS, description="Suspects, the most likely first."
    )
    pool: str = Field(default="", max_length=1024, description="What the database pool's metrics say, in one line.")
    descriptors: list[Annotated[str, Field(max_length=MAX_DESCRIPTOR_LINE)]] = Field(
        default_factory=list,
        max_length=MAX_DESCRIPTORS,
        description="Open descriptors by type, most numerous first, where spec.evidence.descriptors of the policy allows it.",
    )
    descriptor_reader: DescriptorReaderStatus | None = Field(
        default=None, description="The ephemeral container that reads them, where one was to be added."
    )
    baseline: BaselineStatus | None = Field(
        default=None,
        description="The healthy pod that growth is counted from; absent where none was counted before the leak, and growth"
        " is then that between the two captures.",
    )
    profiles: list[ProfileStatus] = Field(
        default_factory=list, max_length=MAX_PROFILES, description="The profiles that were taken."
    )
