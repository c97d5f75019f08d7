"""dataset.json: what the arrays of a data set hold."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from training.common.errors import BadData

INDEX_FILE = "dataset.json"


class Index(BaseModel):
    """What a data set holds: its marks, samples and regions in the order of the arrays, and where they come from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    assembly: str
    bin_size_bp: int
    marks: list[str]
    samples: list[str]
    regions: list[tuple[str, int, int]]
    source: str


def read_index(folder: Path) -> Index:
    """Read the index of a data set's folder; raises BadData."""
    try:
        return Index.model_validate_json((folder / INDEX_FILE).read_bytes())
    except OSError:
        raise BadData(f"'{folder}' is no data set (it has no {INDEX_FILE}); make one with prepare.") from None
    except ValidationError as error:
        raise BadData(f"'{folder / INDEX_FILE}' is not valid: {error.errors()[0]['msg']}.") from None
