"""The progress bar: on a terminal, and nowhere else."""

import io

import pytest

from rifr.bars import progress_bar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("file", "show", "disabled", "seen"),
    [
        (Terminal, True, "", True),
        (Terminal, False, "", False),
        (Terminal, True, "1", False),
        (io.StringIO, True, "", False),
    ],
)
def test_a_bar_is_seen_on_a_terminal_unless_it_is_hidden(monkeypatch, file, show, disabled, seen):
    monkeypatch.setenv("TQDM_DISABLE", disabled)
    stream = file()
    assert list(progress_bar([1, 2], show=show, desc="reading", unit="photo", file=stream)) == [1, 2]
    assert ("reading" in stream.getvalue()) == seen
