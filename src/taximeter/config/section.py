"""What every part of the file has in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of the file: unknown keys are mistakes, values are fixed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)
