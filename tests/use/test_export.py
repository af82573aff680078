"""Exported networks: asked through other programs, they answer as the run does."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from diabolo.errors import UserError
from diabolo.use.export import write_exported
from networks import FEW, PAIRS, TABLE, overrides, trained_on_noise

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")
safetensors = pytest.importorskip("safetensors")


def asked(file, name, values):
    return onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, {name: values.numpy()})


def check_onnx(given, file, parts=("encoder", "decoder", "both")):
    """Batches of sizes that the export has not seen."""
    trained = trained_on_noise(*given)
    images = torch.rand(5, *trained.config.data.image_shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        codes = trained.module.encode(images)
        decoded, restored = trained.module.decode(codes), trained.module.reconstruct(images)
    asks = {
        "encoder": ("images", images, [codes]),
        "decoder": ("codes", codes, [decoded]),
        "both": ("images", images, [codes, restored]),
    }
    for part in parts:
        name, values, wanted = asks[part]
        assert write_exported(trained, file, "onnx", part).difference < 1e-5
        for count in (1, 5):
            for answer, one in zip(asked(file, name, values[:count]), wanted, strict=True):
                np.testing.assert_allclose(answer, one[:count], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("network", FEW, ids="-".join)
def test_onnxruntime_answers_as_the_run(network, tmp_path):
    check_onnx(overrides(*network), tmp_path / "network.onnx", ["both"])


@pytest.mark.slow
@pytest.mark.parametrize("network", TABLE, ids="-".join)
def test_onnxruntime_answers_as_every_family_bottleneck_and_upsampling(network, tmp_path):
    check_onnx(overrides(*network), tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize(("encoder", "decoder"), PAIRS)
def test_onnxruntime_answers_as_every_pair(encoder, decoder, tmp_path):
    given = overrides("fc", "vector", "", f"encoder={encoder}", f"decoder={decoder}", "model.norm=batch")
    check_onnx(given, tmp_path / "network.onnx")


@pytest.mark.slow
@pytest.mark.parametrize("head", ["mlp", "conv", "spatial"])
def test_onnxruntime_answers_as_every_head(head, tmp_path):
    given = overrides("conv_upsample", "vector", "nearest", f"model.head={head}", "model.norm=group")
    check_onnx((*given, "bottleneck.size=16"), tmp_path / "network.onnx")


def test_a_frozen_encoder_is_exported_too(tmp_path):
    given = overrides("conv_transpose", "vector", "", "encoder.frozen=true", "model.norm=batch")
    check_onnx(given, tmp_path / "network.onnx", ["encoder"])


def test_the_layers_themselves_are_exported_not_what_computes_them_faster(tmp_path):
    trained = trained_on_noise(*overrides("conv_upsample", "vector", "nearest", "data.image_shape=[1,16,16]"))
    write_exported(trained, tmp_path / "a.onnx", "onnx")
    kinds = [node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node]
    assert [kinds.count(kind) for kind in ("Conv", "Resize", "ConvTranspose")] == [2 + 2, 2, 0]


NORMALISED = overrides("conv_transpose", "vector", "", "data.mean=0.3", "data.std=0.2", "model.output=identity")


@pytest.mark.parametrize("part", ["encoder", "decoder", "both"])
@pytest.mark.parametrize("scale", ["inside", "outside"])
def test_the_pixel_scale_stands_inside_or_outside_and_the_file_says_so(part, scale, tmp_path):
    trained = trained_on_noise(*NORMALISED)
    images = torch.rand(3, 1, 9, 13)
    write_exported(trained, tmp_path / "a.onnx", "onnx", part, scale)
    with torch.no_grad():
        codes = trained.module.encode(images)
        restored = trained.module.decode(codes)
    theirs = images if scale == "inside" else (images - 0.3) / 0.2
    answer = asked(tmp_path / "a.onnx", *(("codes", codes) if part == "decoder" else ("images", theirs)))
    if part != "decoder":
        np.testing.assert_allclose(answer[0], codes, atol=1e-5)
    if part != "encoder":
        wanted = restored if scale == "inside" else (restored - 0.3) / 0.2
        np.testing.assert_allclose(answer[-1], wanted, atol=1e-4)
    graph = onnx.load(tmp_path / "a.onnx").graph
    assert {one.type.tensor_type.shape.dim[0].dim_param for one in (*graph.input, *graph.output)} == {"batch"}
    said = {one.key: one.value for one in onnx.load(tmp_path / "a.onnx").metadata_props}
    assert said["part"] == part
    assert said["pixel_scale"].startswith(scale)
    assert (json.loads(said["pixel_mean"]), json.loads(said["pixel_std"])) == (
        pytest.approx([0.3]),
        pytest.approx([0.2]),
    )
    assert (json.loads(said["image_shape"]), said["code_size"]) == ([1, 9, 13], "8")


def test_a_program_of_torch_needs_no_diabolo(tmp_path):
    trained = trained_on_noise(*NORMALISED)
    write_exported(trained, tmp_path / "a.pt2", "torch")
    files = {"about.json": ""}
    program = torch.export.load(tmp_path / "a.pt2", extra_files=files)
    images = torch.rand(7, 1, 9, 13)
    codes, restored = program.module()(images)
    with torch.no_grad():
        torch.testing.assert_close(codes, trained.module.encode(images))
        torch.testing.assert_close(restored, trained.module.reconstruct(images))
    assert json.loads(files["about.json"])["outputs"] == "codes, reconstructions"


def test_bare_weights_are_the_runs_and_say_what_they_belong_to(tmp_path):
    from safetensors import safe_open

    trained = trained_on_noise(*overrides("fc_tied", "noisy", ""))
    for part, tops in (("both", {"encoder", "bottleneck", "decoder"}), ("encoder", {"encoder", "bottleneck"})):
        write_exported(trained, tmp_path / part, "safetensors", part)
        with safe_open(tmp_path / part, "pt") as file:
            assert {name.partition(".")[0] for name in file.keys()} == tops  # noqa: SIM118
            weights = trained.module.autoencoder.state_dict()
            assert all(torch.equal(file.get_tensor(name), weights[name]) for name in file.keys())  # noqa: SIM118
            said = file.metadata()
        assert json.loads(said["parts"])["encoder"]["_target_"] == "diabolo.network.FCEncoder"
        assert said["pixel_scale"].startswith("outside")
    with pytest.raises(UserError, match="no part of it: take --part both"):
        write_exported(trained, tmp_path / "c", "safetensors", "decoder")
    with pytest.raises(UserError, match="--scale inside is not for --format safetensors"):
        write_exported(trained, tmp_path / "c", "safetensors", "both", "inside")
    assert not (tmp_path / "c").exists()


def test_a_file_that_answers_otherwise_is_not_left(tmp_path, monkeypatch):
    from diabolo.use import exported

    write, _ = exported.FORMATS["onnx"]
    wrong = exported.Format(write, lambda *_: lambda values: (torch.zeros(len(values), 8),))
    monkeypatch.setitem(exported.FORMATS, "onnx", wrong)
    with pytest.raises(UserError, match=r"differs from the run's own output by .*, more than 0\.0001: it was not"):
        write_exported(trained_on_noise(*NORMALISED), tmp_path / "a.onnx", "onnx", "encoder")
    assert not list(tmp_path.iterdir())


def test_a_part_that_no_graph_can_say_is_refused_in_a_sentence(tmp_path):
    class Choosy(nn.Flatten):
        def forward(self, images):
            return super().forward(images)[:, :8] * (1 if images.sum() > 0 else -1)

    trained = trained_on_noise(*NORMALISED)
    trained.module.autoencoder.encoder = Choosy()
    with pytest.raises(UserError, match=r"this network \(Choosy, Vector, ConvTransposeDecoder\) cannot be written as"):
        write_exported(trained, tmp_path / "a.onnx", "onnx")
    assert not list(tmp_path.iterdir())


def test_the_command_names_the_file_and_the_difference(diabolo, compared):
    run = str(compared / "mse_4")
    ended = diabolo("export", run, "--format", "onnx", "--out", "new/a.onnx")
    assert ended.code == 0, ended
    assert "new/a.onnx: " in ended.out
    assert "on 32 test images: " in ended.out
    again = diabolo("export", run, "--format", "onnx", "--out", "new/a.onnx")
    assert (again.code, again.out) == (2, "")
    assert "is there already" in again.err
    assert diabolo("export", str(compared), "--format", "onnx", "--out", "b").code == 2


def test_a_library_that_is_missing_is_named(diabolo, compared, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "onnxscript", None)
    ended = diabolo("export", str(compared / "mse_4"), "--format", "onnx", "--out", "a.onnx")
    assert ended.code == 2
    assert "onnxscript is not installed: uv sync --extra export" in ended.err


def test_the_ending_of_the_file_says_the_format(diabolo, compared, tmp_path):
    run = str(compared / "mse_4")
    assert diabolo("export", run, "--out", "weights.safetensors").code == 0
    assert (tmp_path / "weights.safetensors").stat().st_size > 0
    for arguments, sentence in (
        (("--out", "network"), "--out ('network') must end in .onnx, .safetensors, .pt2, or say a --format."),
        (("--out", "a.pt2", "--format", "onnx"), "--out ('a.pt2') ends as a file of torch, not of --format onnx."),
    ):
        refused = diabolo("export", run, *arguments)
        assert (refused.code, refused.err) == (2, f"diabolo: {sentence}\n")
