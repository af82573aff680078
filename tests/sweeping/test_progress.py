"""What a sweep says of how far it is."""

from hydra.core.utils import JobReturn, JobStatus

from diabolo.sweeping import progress as progressing
from diabolo.sweeping.progress import Progress


def test_the_progress_line_counts_jobs_and_the_time_left(monkeypatch):
    now = 100.0
    monkeypatch.setattr(progressing.time, "monotonic", lambda: now)
    progress = Progress(["a", "b", "c", "d"], 2, "1")
    said = [str(progress)]
    now = 160.0  # what starting takes is no measure of a job
    progress.started()
    said.append(str(progress))
    for now, status in ((220.0, JobStatus.COMPLETED), (230.0, JobStatus.FAILED), (240.0, JobStatus.COMPLETED)):  # noqa: B007  the clock
        progress.started()
        progress.ended(0, JobReturn(status=status, _return_value=ValueError("it is not")))
        said.append(str(progress))
    progress.ended(0, JobReturn(status=JobStatus.COMPLETED))
    assert [*said, str(progress)] == [
        "0 of 4 done, starting",
        "0 of 4 done, 2 running, 0 failed",
        "1 of 4 done, 2 running, 0 failed, 3 min left",
        "1 of 4 done, 2 running, 1 failed, 70 s left",
        "2 of 4 done, 1 running, 1 failed, 27 s left",
        "3 of 4 done, 0 running, 1 failed",
    ]
