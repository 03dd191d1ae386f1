"""A LightX2V configuration in, the models that it describes out."""

from comfy_api.latest import io, ui

from ..bridge.config_folders import config_names, folder_names
from ..bridge.settings import preferred_kernels
from ..loaders.config import TASKS
from ..schemes import AUTO
from . import inputs
from .fingerprint import fingerprint
from .language import in_language
from .running import Account, set_up

NONE = "none"


class FromConfig(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LightQuantFromConfig",
            display_name="Load LightX2V Configuration",
            category="LightQuant/loaders",
            description="Loads the models that a LightX2V configuration file describes, its LoRAs included, and says what becomes of "
            "each of its keys.",
            search_aliases=["lightx2v", "config", "json", "wan", "quantized"],
            inputs=[
                io.Combo.Input("config", options=config_names(), tooltip="A .json in ComfyUI's input folder or in models/lightx2v."),
                io.Combo.Input(
                    "model_folder",
                    options=[NONE, *folder_names()],
                    default=NONE,
                    tooltip="What LightX2V is given as --model_path. none: models without a path are looked for in ComfyUI's folders.",
                ),
                io.Combo.Input("task", options=list(TASKS), default="i2v", tooltip="What LightX2V is given as --task; it decides on CLIP_VISION."),
                inputs.missing_kernel(),
                inputs.attention(),
                inputs.blocks(),
            ],
            outputs=[
                io.Model.Output(display_name="model"),
                io.Model.Output(display_name="low_noise_model"),
                io.Clip.Output(display_name="clip"),
                io.ClipVision.Output(display_name="clip_vision"),
                io.String.Output(display_name="description"),
            ],
            hidden=[io.Hidden.unique_id],
        )

    @classmethod
    @in_language
    def execute(
        cls, config: str, model_folder: str, task: str, missing_kernel: str, attention: str = AUTO, blocks: str = AUTO
    ) -> io.NodeOutput:
        from ..bridge.from_config import open_plan, plan_of

        account = Account(cls.hidden and cls.hidden.unique_id)
        opened = open_plan(plan_of(config, _chosen(model_folder), task), missing_kernel == inputs.SUBSTITUTE)
        said = [f"{name}: {set_up(model, attention, blocks, account, name)}" for name, model in opened.dits.items()]
        text = account.say("\n".join([opened.text, *said]))
        return io.NodeOutput(*opened[:-1], text, ui=ui.PreviewText(text))

    @classmethod
    def fingerprint_inputs(
        cls, config: str, model_folder: str, task: str, missing_kernel: str, attention: str = AUTO, blocks: str = AUTO
    ) -> str:
        from ..bridge.from_config import files_of, plan_of

        request = (config, model_folder, task, missing_kernel, preferred_kernels())
        return fingerprint(lambda: (request, files_of(plan_of(config, _chosen(model_folder), task))))


def _chosen(model_folder: str) -> str | None:
    return None if model_folder in (NONE, "") else model_folder
