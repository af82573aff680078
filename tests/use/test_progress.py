"""How far a command is, where there is no terminal: lines on stderr, and none for what is short."""

from diabolo.use import progress as module
from diabolo.use.progress import progress


def test_long_work_says_now_and_then_how_far_it_is(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    with progress("encoding", 3000) as advance:
        for _ in range(30):
            now[0] += 1
            advance(100)
    assert capsys.readouterr().err.splitlines() == ["encoding: 1,100 of 3,000", "encoding: 2,200 of 3,000"]


def test_short_work_says_nothing(capsys):
    with progress("encoding", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")
