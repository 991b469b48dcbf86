"""What every model of this API version shares: camelCase names, no unknown fields, CEL rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from leakwarden.api.scalars import AMOUNT_PATTERN, DURATION_PATTERN, parse_amount, parse_duration


class Model(BaseModel):
    """Base of every API model. Frozen, since a policy is a value that decisions are made from."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class LenientModel(Model):
    """Base of status models: read back what an older or newer operator wrote without failing."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, populate_by_name=True)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules (expression, message) for `json_schema_extra`."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": message} for rule, message in pairs]}


# Before the pattern, which says the same to the API server but in no words a person would use.
def _check_duration(value: Any) -> Any:
    if isinstance(value, str):
        parse_duration(value)
    return value


def _check_amount(value: Any) -> Any:
    if isinstance(value, str):
        parse_amount(value)
    return value


Duration = Annotated[
    str,
    Field(pattern=DURATION_PATTERN, max_length=32),
    BeforeValidator(_check_duration),
]
AmountText = Annotated[
    str,
    Field(pattern=AMOUNT_PATTERN, max_length=32),
    BeforeValidator(_check_amount),
]
