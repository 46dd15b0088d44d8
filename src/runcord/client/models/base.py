"""What all models share."""

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """Read leniently and stay as read."""

    model_config = ConfigDict(extra="allow", frozen=True)
