"""The processes of a sweep, without Hydra and without training."""

import ast
import ctypes
import json
import multiprocessing.util
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from diabolo.sweeping.pool import Ended, Pool, Started, Stopped
from diabolo.sweeping.worker import Died


@pytest.fixture(scope="module", autouse=True)
def server():
    """The fork server of these tests, which imports nothing, is not that of tests to come."""
    yield
    forkserver._forkserver._stop()


def run(work, jobs, environments=({}, {})) -> tuple[list, list]:
    """The events of a pool in their order, and the results by job."""
    events = list(Pool(work, environments).run(jobs))
    return events, [e.result for e in sorted((e for e in events if isinstance(e, Ended)), key=lambda e: e.job)]


def test_a_free_place_takes_the_next_job_and_processes_are_kept(tmp_path):
    def work(job):
        (tmp_path / job).touch()
        while job == "slow" and not (tmp_path / "last").exists():
            time.sleep(0.01)
        return os.getpid(), True

    events, pids = run(work, ["slow", "a", "b", "last"])
    assert events[:2] == [Started(0), Started(1)]
    assert [e.job for e in events if isinstance(e, Ended)][:2] == [1, 2]  # nobody waits for the slow one
    assert pids[1] == pids[2] == pids[3]
    assert len({*pids, os.getpid()}) == 3


def test_a_process_that_is_not_fit_for_another_job_is_replaced_in_its_place():
    places = [{"PLACE": "0"}, {"PLACE": "1"}]
    _, seen = run(lambda job: ((os.getpid(), os.environ["PLACE"]), job != "unfit"), ["unfit"] * 4, places)
    assert len({pid for pid, _ in seen}) == 4
    assert {place for _, place in seen} == {"0", "1"}


def test_an_idle_process_cleans_up_when_all_is_done(tmp_path):
    def work(job):
        atexit = multiprocessing.util.Finalize(None, (tmp_path / str(os.getpid())).touch, exitpriority=0)
        return (os.getpid(), str(atexit)), True

    _, results = run(work, ["a", "b", "c", "d"])
    assert {path.name for path in tmp_path.iterdir()} == {str(pid) for pid, _ in results}


def test_a_process_that_dies_between_two_jobs_costs_none(tmp_path):
    def work(job):
        if job == "last words":
            threading.Timer(0.2, os._exit, [7]).start()  # when the result has been sent
        while job == "slow" and time.time() < began + 2:
            time.sleep(0.01)
        return job, True

    began = time.time()
    jobs = ["last words", "slow", "a"]
    pool = Pool(work, [{}, {}])
    results = {}
    for event in pool.run(iter(jobs)):
        if isinstance(event, Ended):
            results[event.job] = event.result
            time.sleep(0.6)  # the first process ends meanwhile
    assert [results[i] for i in range(3)] == jobs


def test_each_place_has_its_environment():
    def work(_):
        time.sleep(0.5)
        getenv = ctypes.CDLL(None).getenv  # as CUDA reads it
        getenv.restype = ctypes.c_char_p
        return {name: getenv(name.encode()).decode() for name in ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")}, True

    places = [{"OMP_NUM_THREADS": "3", "CUDA_VISIBLE_DEVICES": str(i)} for i in range(2)]
    _, seen = run(work, [0, 1], places)
    assert seen == places
    assert os.environ["OMP_NUM_THREADS"] == "1"
    assert os.environ.get("CUDA_VISIBLE_DEVICES") != "1"


FORKS = """
    import json, os, pathlib, signal, sys, time
    from diabolo.sweeping.pool import Ended, Pool
    def work(job):
        if job == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "kill server":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(20)
        threads = os.listdir("/proc/self/task")
        return ("made" in sys.modules, os.getppid(), len(threads)), True
    def results(jobs):
        pool = Pool(work, [{"OMP_NUM_THREADS": "3"}], ["made"])
        return [e.result for e in pool.run(jobs) if isinstance(e, Ended)]
    if __name__ == "__main__":
        JOBS
"""


def forked(tmp_path, jobs: str) -> subprocess.CompletedProcess:
    """Runs `jobs` in a process whose fork server imports a module that notes each import of it."""
    note = "import os; open('imports', 'a').write(os.environ['OMP_NUM_THREADS'] + '\\n')"
    (tmp_path / "made.py").write_text(note)
    (tmp_path / "script.py").write_text(textwrap.dedent(FORKS).replace("JOBS", jobs))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "script.py"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)


def test_what_is_heavy_is_imported_once_for_all_jobs(tmp_path):
    ended = forked(tmp_path, 'print(json.dumps([str(r) if r else r for r in results(["a", "kill", "b"])]))')
    assert ended.returncode == 0, ended.stderr
    first, died, second = json.loads(ended.stdout)
    assert "SIGKILL" in died
    assert first == second  # the module is there, the same parent, as many threads
    assert first.startswith("(True, ")
    assert (tmp_path / "imports").read_text() == "3\n"


def test_a_signal_to_all_processes_leaves_the_server_running(tmp_path):
    kill = "[os.kill(before[0][1], signum) for signum in (signal.SIGTERM, signal.SIGINT)]; time.sleep(0.2)"
    ended = forked(tmp_path, f'before = results(["a"]); {kill}; assert results(["b"]) == before')
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""


def test_a_killed_server_costs_what_was_running_alone(tmp_path):
    ended = forked(tmp_path, 'print([str(r)[:40] for r in results(["a", "kill server", "b"])])')
    first, died, second = ast.literal_eval(ended.stdout)
    assert died == "its process ended with exit code 255"
    assert first.startswith("(True, ")
    assert second.startswith("(True, ")
    assert first != second
    assert (tmp_path / "imports").read_text() == "3\n3\n"


def test_a_process_that_dies_costs_its_job_alone_and_leaves_nothing_running(tmp_path):
    def work(job):
        if job == "killed":
            child = os.fork()  # it inherits the worker's pipes, as the processes of a data loader do
            if child == 0:
                time.sleep(60)
                os._exit(0)
            (tmp_path / "child").write_text(str(child))
            os.kill(os.getpid(), signal.SIGKILL)
        if job == "exits":
            os._exit(3)
        return job, True

    _, results = run(work, ["a", "killed", "b", "exits", "c"], [{}])
    child = (tmp_path / "child").read_text()
    assert results == ["a", Died(-9), "b", Died(3), "c"]
    assert [str(results[1]), str(results[3])] == [
        "its process was ended by SIGKILL (out of memory?)",
        "its process ended with exit code 3",
    ]
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child}/cmdline").exists() and Path(f"/proc/{child}/cmdline").read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_reaches_each_job_once_as_sigterm_and_ends_the_pool(signum, tmp_path):
    def work(job):
        got = []
        signal.signal(signal.SIGTERM, lambda signum, _: got.append(signum))
        (tmp_path / f"began{job}").touch()
        time.sleep(0.2)
        while not got:
            time.sleep(0.01)
        time.sleep(0.5)  # a second signal would come now
        (tmp_path / f"ended{job}").write_text(str(got))
        os._exit(143)

    def interrupt():
        while len(list(tmp_path.glob("began*"))) < 2:
            time.sleep(0.01)
        os.kill(os.getpid(), signum)

    before = signal.getsignal(signum)
    events = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped) as stopped:
        events.extend(Pool(work, [{}, {}]).run([0, 1, 2]))
    assert stopped.value.exit_code == 128 + signum
    assert sorted(path.name for path in tmp_path.glob("ended*")) == ["ended0", "ended1"]
    assert (tmp_path / "ended0").read_text() == "[15]"
    assert not (tmp_path / "began2").exists()
    assert signal.getsignal(signum) == before


def test_the_third_signal_kills_a_job_that_does_not_stop(tmp_path):
    def work(job):
        signal.signal(signal.SIGTERM, lambda *_: (tmp_path / "asked").open("a").write("x"))
        (tmp_path / "asked").touch()
        for _ in range(1000):
            time.sleep(0.01)

    def interrupt():
        for asked in ("", "x", "xx"):
            while not (tmp_path / "asked").exists() or (tmp_path / "asked").read_text() != asked:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

    events = []
    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(Stopped, match="SIGINT"):
        events.extend(Pool(work, [{}]).run([0]))
    assert events == [Started(0), Ended(0, Died(-9))]


def test_a_result_may_be_larger_than_a_pipe():
    assert run(lambda size: (b"x" * size, True), [3_000_000], [{}])[1] == [b"x" * 3_000_000]


def test_jobs_whose_parent_is_killed_are_asked_to_stop(tmp_path):
    script = f"""
        import os, pathlib, signal, time
        from diabolo.sweeping.pool import Pool
        def work(job):
            def stop(signum, _):
                pathlib.Path({str(tmp_path / "stopped")!r}).write_text(str(signum))
                os._exit(143)
            signal.signal(signal.SIGTERM, stop)
            pathlib.Path({str(tmp_path / "began")!r}).touch()
            time.sleep(60)
        if __name__ == "__main__":
            list(Pool(work, [{{}}]).run([0]))
    """
    (tmp_path / "script.py").write_text(textwrap.dedent(script))
    parent = subprocess.Popen([sys.executable, str(tmp_path / "script.py")])
    deadline = time.monotonic() + 30
    while not (tmp_path / "began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    while not (tmp_path / "stopped").exists() or not (tmp_path / "stopped").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert (tmp_path / "stopped").read_text() == "15"


def test_the_server_ends_with_its_parent_while_it_still_imports(tmp_path):
    (tmp_path / "heavy.py").write_text("import os, time; open('server', 'w').write(str(os.getpid())); time.sleep(60)")
    (tmp_path / "script.py").write_text(
        "from diabolo.sweeping.pool import Pool\n"
        "if __name__ == '__main__':\n"
        "    list(Pool(abs, [{}], ['heavy']).run([1]))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    parent = subprocess.Popen([sys.executable, "script.py"], cwd=tmp_path, env=environment)
    deadline = time.monotonic() + 40
    while not (tmp_path / "server").exists() or not (tmp_path / "server").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    parent.kill()
    parent.wait()
    server, deadline = Path("/proc") / (tmp_path / "server").read_text() / "cmdline", time.monotonic() + 10
    while server.exists() and server.read_bytes():  # empty: it has ended, and nobody has asked how
        assert time.monotonic() < deadline
        time.sleep(0.01)
