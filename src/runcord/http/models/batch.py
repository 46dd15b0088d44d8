"""What is answered about batches."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from runcord.http.models.page import Document, Maybe, PageQuery
from runcord.http.operation import Query

OwnProject = Annotated[str | None, Field(max_length=64, description="If given, the credential's own project.")]


class BatchesQuery(PageQuery):
    """Which batches to list."""

    project_id: OwnProject = None


class BatchQuery(Query):
    """Where to look for the batch."""

    project_id: OwnProject = None


class BatchOperation(Document):
    """What was triggered at once. Its runs are `GET /v1/runs?batch_id=`."""

    id: str
    project_id: str
    job_id: str
    item_count: Annotated[int, Field(description="How many runs were asked for.")]
    created_count: Annotated[int, Field(description="How many were made: the others were there already.")]
    created_at: datetime
    finished_at: Annotated[datetime, Field(description="The same: all runs of a batch are made in one append.")]
    created_by: Maybe[str] = None
