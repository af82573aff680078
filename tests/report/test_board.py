"""The comparison as TensorBoard reads it."""

import io

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from diabolo.report.board import write_board
from diabolo.report.collect import collect
from diabolo.report.figures import png
from diabolo.report.plots import plots
from diabolo.report.sheet import captioned
from diabolo.report.sheets import sheets
from support import drawn


def test_tensorboard_shows_every_plot_and_sheet_once(compared, tmp_path):
    runs, _ = collect([compared])
    made, _ = sheets(runs)
    write_board(runs[:1], tmp_path)
    write_board(runs, tmp_path, made)  # in place of the first
    (file,) = (tmp_path / "comparison").iterdir()
    events = EventAccumulator(str(file)).Reload()
    expected = {f"comparison/{sheet.name}": captioned(sheet) for sheet in made}
    for plot in plots(runs):
        expected[f"comparison/{plot.name}"] = np.asarray(Image.open(io.BytesIO(png(plot, 110))).convert("RGB"))
    assert set(events.Tags()["images"]) == set(expected)
    for tag, picture in expected.items():
        (event,) = events.Images(tag)
        assert (event.height, event.width) == picture.shape[:2]
        np.testing.assert_array_equal(drawn(tmp_path / "comparison", tag)[0], picture)
