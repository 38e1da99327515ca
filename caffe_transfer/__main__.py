"""The program: caffe-transfer, and python -m caffe_transfer."""

try:
    import os
    import signal
    from contextlib import suppress
    from types import FrameType

    from caffe_transfer import streams
    from caffe_transfer.errors import STOPPED, Interrupted
except KeyboardInterrupt:  # within the milliseconds before `main` can answer it
    raise SystemExit(130) from None

_STOPS = (signal.SIGINT, signal.SIGTERM)


def main() -> None:
    """Run the command line; until a command begins, Ctrl-C and SIGTERM end the program at once."""
    for number in _STOPS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup and `&` have it
            signal.signal(number, _end)
    streams.reserve()
    streams.tell_where_possible()
    from caffe_transfer import cli

    try:
        cli.main()
    except KeyboardInterrupt:  # a second one, at the moment when the first was told
        _end(signal.SIGINT, None)
    finally:
        # The status is settled; but Python, as it ends, would give signals back their power to
        # kill, except those that are ignored.
        for number in _STOPS:
            signal.signal(number, signal.SIG_IGN)


def _end(_number: int, _frame: FrameType | None) -> None:
    """End without an exception, which would come out of an import as a traceback, or be lost."""
    with suppress(OSError):  # nobody may be there to read it
        os.write(2, f"caffe-transfer: {STOPPED}\n".encode())
    os._exit(Interrupted.status)


if __name__ == "__main__":
    main()
