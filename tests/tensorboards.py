"""TensorBoard itself, with the tab "Latent"."""

from pathlib import Path

PREFIX = "/data/plugin/diabolo_latent"


def serve(logs: Path):
    """TensorBoard itself, with its usual plugins. It reads events once, and has no thread that outlives the test."""
    from tensorboard import default
    from tensorboard.backend import application as backend
    from tensorboard.program import TensorBoard

    board = TensorBoard(plugins=default.get_plugins())
    board.configure(logdir=str(logs), load_fast="false", reload_interval=0, reload_task="blocking")
    ingester = board._make_data_ingester()
    return backend.TensorBoardWSGIApp(
        board.flags,
        board.plugin_loaders,
        ingester.data_provider,
        board.assets_zip_provider,
        ingester.deprecated_multiplexer,
    )
