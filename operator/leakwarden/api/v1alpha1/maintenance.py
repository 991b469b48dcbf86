"""What holds actions back from outside: pause requests, maintenance windows and veto queries."""

from __future__ import annotations

import zoneinfo
from enum import StrEnum

from pydantic import Field, field_validator

from leakwarden.api.v1alpha1.schema import Model, Rule, ruled

NAME = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
CLOCK = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"


class Day(StrEnum):
    MONDAY = "Monday"
    TUESDAY = "Tuesday"
    WEDNESDAY = "Wednesday"
    THURSDAY = "Thursday"
    FRIDAY = "Friday"
    SATURDAY = "Saturday"
    SUNDAY = "Sunday"


class PauseRequest(Model):
    """Somebody's wish that nothing be done for now. Any one of them suffices; each is taken back by its own author."""

    name: str = Field(
        min_length=1, max_length=63, pattern=NAME, description="Whose request it is, such as db-migration."
    )
    reason: str = Field(min_length=1, max_length=256, description="Why, for those who wonder.")


class MaintenanceWindow(Model):
    """A span of the day on some days of the week. Where end is not after start it ends on the next day."""

    RULES = (
        Rule(
            # Items of a list have no defaults in the schema, so that an apply of the same policy changes nothing.
            "(has(self.start) ? self.start : '00:00') != (has(self.end) ? self.end : '24:00')",
            "start and end must differ; for a whole day leave out both",
            lambda self: self.start != self.end,
        ),
    )
    model_config = ruled(RULES)

    days: list[Day] = Field(
        default_factory=lambda: list(Day),
        min_length=1,
        max_length=7,
        description="The days on which it starts. Default: every day.",
        json_schema_extra={"default": [str(day) for day in Day], "x-kubernetes-list-type": "set"},
    )
    start: str = Field(
        default="00:00", pattern=CLOCK, max_length=5, description="When it starts, HH:MM. Default 00:00."
    )
    end: str = Field(
        default="24:00",
        pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$",
        max_length=5,
        description="When it ends, HH:MM; 24:00 is the end of the day. Default 24:00.",
    )
    time_zone: str = Field(
        default="UTC",
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$",
        description="A name of the IANA time zone database, such as Europe/Berlin. Default UTC.",
    )

    @field_validator("days")
    @classmethod
    def _each_once(cls, value: list[Day]) -> list[Day]:
        if len(set(value)) != len(value):
            raise ValueError("names a day more than once")
        return value

    @field_validator("time_zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            zoneinfo.ZoneInfo(value)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is not a time zone; write one like Europe/Berlin or UTC") from None
        return value


class Maintenance(Model):
    """When acting is allowed. Deny wins; without allow it is allowed whenever it is not denied."""

    allow: list[MaintenanceWindow] = Field(
        default_factory=list,
        max_length=16,
        description="Act only within one of these. Default: none given, so at any time.",
    )
    deny: list[MaintenanceWindow] = Field(
        default_factory=list, max_length=16, description="Never act within any of these."
    )


class Veto(Model):
    """A question to Prometheus whose answer may forbid to act: anything but an empty or a zero answer does, as does
    a failure to answer."""

    name: str = Field(min_length=1, max_length=63, pattern=NAME, description="What it is called where it says no.")
    query: str = Field(
        min_length=1,
        max_length=2048,
        description="PromQL that yields a vector. Its selectors are confined to the policy's namespace. Empty or all zero:"
        " no objection. Any other value, an error or a timeout: nothing is done.",
    )
