"""The pack's exceptions. Their text is for users: what was found, what was expected, what to do."""


class LightQuantError(Exception):
    """Base of everything the pack raises on purpose."""


class CheckpointError(LightQuantError):
    """A file can't be read, or isn't what the loader needs."""


class SchemeError(LightQuantError):
    """A scheme does not fit the checkpoint, or there is no such scheme."""


class KernelError(LightQuantError):
    """No kernel that the user allows can run here."""


class DiscoveryError(LightQuantError):
    """None or several files fit where exactly one was needed."""


class ConfigError(LightQuantError):
    """A LightX2V configuration can't be read, or asks for what can't be given."""


class DownloadError(LightQuantError):
    """A published file can't be fetched, or what came is not what the hub says it is."""


class ConvertError(LightQuantError):
    """A checkpoint can't be converted as asked, or could not be written."""


class ReportError(LightQuantError):
    """What a report is asked about can't be compared, or the report could not be written."""


class LoraError(LightQuantError):
    """A LoRA is not one, or is for another model."""


class FusionError(LightQuantError):
    """A model's blocks can't be computed as asked."""


class JobError(LightQuantError):
    """A job of the browser's can't be queued."""


class OffloadError(LightQuantError):
    """A model can't be offloaded as asked."""


class FitError(LightQuantError):
    """What fits is asked for a size, a card or a model that there is not."""
