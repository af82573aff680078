"""What is imported later, if at all: a tiny run goes without it, and whoever uses it gets the package itself."""

import subprocess
import sys
from textwrap import dedent

import pytest

from support import TINY

UNUSED = (
    *("torchvision", "torch._dynamo", "torch._inductor", "sympy", "triton", "torch.distributed.tensor"),
    *("scipy.signal", "matplotlib.axes", "matplotlib.pyplot", "pandas", "boto3", "sklearn.ensemble"),
)
AS_THE_PROGRAM = """
import sys
from diabolo.runs.deferred import StandIn, defer
def real(name):
    return name in sys.modules and not isinstance(sys.modules[name], StandIn)
defer()
"""


def said_by(script: str, folder) -> str:
    """What `script` prints in a process of its own."""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_a_tiny_run_imports_nothing_that_it_does_not_use_and_searches_for_cycles_as_ever(tmp_path):
    script = AS_THE_PROGRAM.replace("\ndefer()\n", "\n")  # the program does so itself
    script += f"""
import gc
before = gc.get_threshold()
from diabolo.cli import main
sys.argv = ['diabolo', 'train', *{TINY}]
main()
assert gc.get_threshold() == before and gc.get_freeze_count() > 100_000, gc.get_freeze_count()
print('IMPORTED', [name for name in {UNUSED} if real(name)])
"""
    assert said_by(script, tmp_path).splitlines()[-1] == "IMPORTED []"


USES = {
    "the package itself, by name": """
        import lightning
        assert not real("torchvision") and "torchvision" not in sys.modules
        import torchvision.models, torchvision
        from torchvision import transforms
        import matplotlib.pyplot as plt, scipy.signal, pandas
        assert all(map(real, ["torchvision", "torchvision.models", "matplotlib.pyplot", "scipy.signal", "pandas"]))
        assert torchvision.models is sys.modules["torchvision.models"]
        assert torchvision.models.resnet18(num_classes=3).fc.out_features == 3
        assert list(scipy.signal.windows.hann(3)) == [0, 1, 0] and plt.Figure.__module__ == "matplotlib.figure"
        """,
    "torchvision, by a metric": """
        import lightning, pickle, torch
        from torchmetrics.functional.detection import intersection_over_union as iou
        from torchmetrics.functional.image import arniqa
        assert not real("torchvision")
        boxes = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
        assert iou(boxes, boxes / 2).item() == 0.25 and real("torchvision.ops")
        later = sys.modules["torchmetrics.functional.image.arniqa"].resnet50
        import torchvision
        assert pickle.loads(pickle.dumps(later)) is torchvision.models.resnet50
        class Own(sys.modules["torchmetrics.functional.image.arniqa"].transforms.Resize): ...
        assert issubclass(Own, torchvision.transforms.Resize)
        """,
    "matplotlib, by a metric that draws itself": """
        import lightning, torch
        from torchmetrics import MeanMetric
        assert not real("matplotlib")
        mean = MeanMetric()
        mean.update(3.0)
        figure, axes = mean.plot()
        import matplotlib.figure, matplotlib.axes
        assert isinstance(figure, matplotlib.figure.Figure) and isinstance(axes, matplotlib.axes.Axes)
        """,
    "the compiler, by a submodule of it": """
        import lightning, torch
        assert not real("torch._dynamo")
        from torch._dynamo.utils import counters
        assert real("torch._dynamo") and torch._dynamo is sys.modules["torch._dynamo"]
        assert counters is torch._dynamo.utils.counters is sys.modules["torch._dynamo.utils"].counters
        assert torch._dynamo.utils.__spec__.loader.__class__.__name__ == "SourceFileLoader"
        """,
    "the compiler, by torch.compile": """
        import lightning, torch
        from lightning.fabric.wrappers import OptimizedModule
        layer = torch.nn.Linear(2, 2)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.5)
        kept = []
        @torch.compiler.disable
        def never(x):
            kept.append(torch.compiler.is_compiling())
            return x + 1
        layer(torch.ones(1, 2)).sum().backward()
        before = layer.bias.detach().clone()
        optimizer.step(), optimizer.zero_grad(), never(torch.ones(1))
        assert torch.equal(layer.bias, before - 0.5) and layer.bias.grad is None
        assert not isinstance(layer, OptimizedModule) and not real("torch._dynamo")
        compiled = torch.compile(layer, backend="eager")
        assert isinstance(compiled, OptimizedModule) and real("torch._dynamo")
        assert torch.equal(compiled(torch.ones(1, 2)), layer(torch.ones(1, 2)))
        twice = torch.compile(lambda x: never(x * 2) * 2, backend="eager")
        assert twice(torch.ones(1)).item() == 6 and kept == [False, False]
        optimizer.step(), optimizer.load_state_dict(optimizer.state_dict())
        """,
}


@pytest.mark.parametrize("script", USES.values(), ids=USES)
def test_who_uses_what_is_deferred_gets_it(script, tmp_path):
    said_by(AS_THE_PROGRAM + dedent(script), tmp_path)


def test_a_process_that_does_not_defer_imports_as_ever(tmp_path):
    said_by("import sys, diabolo.runs.deferred, lightning\nassert 'torchvision.models' in sys.modules", tmp_path)


def test_the_search_for_cycles_is_rare_at_the_start_and_as_ever_in_training(tmp_path):
    said_by(
        """if True:
        import gc
        before = gc.get_threshold()
        from diabolo.runs.collecting import collect_as_usual, collect_seldom
        collect_as_usual()
        assert not gc.get_freeze_count(), "it is another program's"
        collect_seldom()
        assert gc.get_threshold()[0] > 10 * before[0]
        collect_as_usual()
        assert gc.get_threshold() == before and gc.get_freeze_count()
        """,
        tmp_path,
    )
