"""The models that the service has loaded, and how a route gets at them and at the settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from app.core.errors import BadModel, UnknownModel
from app.core.model import Model, find_models
from app.settings import Settings


@dataclass(frozen=True)
class Catalogue:
    """The loaded models by name, and the one that is used where none is named."""

    models: Mapping[str, Model]
    default: str

    def get(self, name: str) -> Model:
        """The model of that name, or the default one for an empty name; raises UnknownModel."""
        wanted = name or self.default
        if wanted not in self.models:
            raise UnknownModel(
                f"Model '{wanted[:60]}' is not installed; the installed ones are {', '.join(self.models)}.", wanted[:60]
            )
        return self.models[wanted]

    @property
    def marks(self) -> list[str]:
        """Every mark that some model knows; those of the default model first."""
        ordered = (self.models[self.default], *self.models.values())
        return list(dict.fromkeys(mark for model in ordered for mark in model.marks))


def load_catalogue(settings: Settings) -> Catalogue:
    """Load every model of the folder of models; raises BadModel if one is broken or there is none."""
    models = {folder.name: Model(folder, settings.threads) for folder in find_models(settings.models)}
    if not models:
        raise BadModel(
            f"The folder of models, '{settings.models.name}', holds none; set EPIFILL_MODELS to one that does."
        )
    if settings.default_model not in models:
        raise BadModel(
            f"The default model '{settings.default_model}' is not among {', '.join(models)}; set EPIFILL_DEFAULT_MODEL."
        )
    return Catalogue(models, settings.default_model)


async def _catalogue(request: Request) -> Catalogue:
    catalogue: Catalogue = request.app.state.catalogue
    return catalogue


async def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


Models = Annotated[Catalogue, Depends(_catalogue)]
CurrentSettings = Annotated[Settings, Depends(_settings)]
