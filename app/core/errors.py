"""What can be wrong with a request or a file.

Every message is one sentence for the person who asked: it names what is wrong and says what would be right.
"""


class EpifillError(Exception):
    """Base of every error that a user can act on.

    Parameters
    ----------
    message
        One sentence.
    subject
        The file, mark, region or model that it is about, as the user wrote it.
    """

    def __init__(self, message: str, subject: str | None = None) -> None:
        super().__init__(message)
        self.subject = subject


class BadRegion(EpifillError):
    """A region that cannot be parsed, or lies outside its chromosome."""


class RegionTooShort(EpifillError):
    """A chromosome with fewer bins than the model's window."""


class RegionTooLarge(EpifillError):
    """More bins than may be imputed in one answer."""


class UnknownAssembly(EpifillError):
    """An assembly that Epifill does not know."""


class AssemblyMismatch(EpifillError):
    """A track whose chromosomes are not those of the model's assembly."""


class NotABigWig(EpifillError):
    """A file that is no bigWig, or a damaged one."""


class EmptyTrack(EpifillError):
    """A file without bytes, or a bigWig without values."""


class BadTrackValues(EpifillError):
    """A track with values that no -log10 p-value can have."""


class UnknownMark(EpifillError):
    """A mark that the model does not have."""


class DuplicateMark(EpifillError):
    """Two tracks for the same mark."""


class AmbiguousMark(EpifillError):
    """A file whose mark was neither given nor readable from its name."""


class NothingObserved(EpifillError):
    """Every track is masked, or there is none: nothing to impute from."""


class NothingToImpute(EpifillError):
    """Every mark that was asked for is measured and not masked."""


class NoOverlap(EpifillError):
    """No observed track covers any bin of the region."""


class NoInterval(EpifillError):
    """An interval was asked of a model that gives none."""


class UnknownModel(EpifillError):
    """A model that is not installed."""


class BadModel(EpifillError):
    """A model folder that breaks the contract, or was changed after its export."""


class WriteFailed(EpifillError):
    """A result that could not be written, or did not read back as written."""


class BadPage(EpifillError):
    """A place in a list that the list did not give."""


class BadName(EpifillError):
    """A name that cannot be used."""


class UnknownSample(EpifillError):
    """A sample that is not there, or is somebody else's."""


class UnknownImputation(EpifillError):
    """An imputation that is not there, or is somebody else's."""


class NotFinished(EpifillError):
    """A result that is not there yet, or never will be."""


class ModelReplaced(EpifillError):
    """A model that is not the one that an imputation was started with."""


class HasEnded(EpifillError):
    """An imputation that was to be cancelled, but has ended."""


class EngineLost(EpifillError):
    """The engine of long imputations cannot be reached; what it was given has to be given again."""


class KeyReused(EpifillError):
    """An Idempotency-Key that came before with another request."""


class UnknownTrack(EpifillError):
    """A track that the sample does not have."""


class TrackNotReady(EpifillError):
    """A track that is still being checked, or was refused."""


class ChecksumMismatch(EpifillError):
    """Bytes that arrived other than they were sent."""


class LimitReached(EpifillError):
    """More than one owner may have."""


class Busy(EpifillError):
    """More work at once than the service takes."""


class DataInUse(EpifillError):
    """A data folder with a database that another server is using."""


class DiskFull(EpifillError):
    """No room to store what was sent."""


class LinkRefused(EpifillError):
    """A signed link that was changed, or has expired."""


class KeyRefused(EpifillError):
    """No API key, or one that does not open anything."""
