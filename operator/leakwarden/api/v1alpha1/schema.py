"""What every model of this API version shares: camelCase names, no unknown fields, CEL rules."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field
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


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


def _check_amount(text: str) -> str:
    parse_amount(text)
    return text


Duration = Annotated[
    str,
    Field(pattern=DURATION_PATTERN, max_length=32),
    AfterValidator(_check_duration),
]
AmountText = Annotated[
    str,
    Field(pattern=AMOUNT_PATTERN, max_length=32),
    AfterValidator(_check_amount),
]
