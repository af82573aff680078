import os
import sys

if __name__ == "__main__":
    # `python -m` puts the current folder before the libraries; see `diabolo.cli`
    sys.path[:] = [place for place in sys.path if place not in ("", os.getcwd())]
    from diabolo.cli import main

    main()
