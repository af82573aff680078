"""TensorBoard itself, with the tab "Latent"."""

from pathlib import Path

PREFIX = "/data/plugin/diabolo_latent"


def serve(logs: Path):
    """TensorBoard itself, with its usual plugins."""
    from tensorboard import default
    from tensorboard.backend import application as backend
    from tensorboard.program import TensorBoard

    board = TensorBoard(plugins=default.get_plugins())
    board.configure(logdir=str(logs), load_fast="false")
    ingester = board._make_data_ingester()
    return backend.TensorBoardWSGIApp(
        board.flags,
        board.plugin_loaders,
        ingester.data_provider,
        board.assets_zip_provider,
        ingester.deprecated_multiplexer,
    )
