"""Whatever bytes a record file holds: they are read again, or an error names them."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rifr.readers.recordio import RecordFile
from tests.record_files import MAGIC, write

FAST = settings(max_examples=50, deadline=None, database=None)

PAYLOADS = st.lists(st.one_of(st.just(MAGIC), st.binary(max_size=9)), max_size=6).map(b"".join)
LABELS = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4),
)
RECORDS = st.lists(st.tuples(LABELS, PAYLOADS), min_size=1, max_size=5)


def same(found, label, data):
    return found[1] == data and np.array_equal(np.asarray(found[0]), np.asarray(label, np.float32))


@FAST
@given(RECORDS)
def test_what_is_written_is_read_again_whatever_the_bytes(records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        write(path, (data for _, data in records), [label for label, _ in records])
        file = RecordFile(path)
        assert len(file) == len(records)
        for found, (label, data) in zip(file, records):
            assert same(found, label, data)


@FAST
@given(st.data(), RECORDS)
def test_a_file_that_is_cut_short_gives_the_right_records_or_a_clear_error(draw, records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        write(path, [data for _, data in records], [label for label, _ in records])
        whole, index = path.read_bytes(), path.with_suffix(".idx").read_text().splitlines()
        length = draw.draw(st.integers(0, len(whole) - 1))
        path.write_bytes(whole[:length])
        lines = [line for line in index if int(line.split("\t")[1]) + 8 <= length]  # as if the .idx were of this file
        for listed in (index, lines):
            path.with_suffix(".idx").write_text("\n".join(listed))
            for key, (label, data) in enumerate(records, start=1):
                try:
                    assert same(RecordFile(path).record(key), label, data)
                except ValueError as error:
                    assert "x.rec" in str(error) or "x.idx" in str(error)  # noqa: PT017


@FAST
@given(st.data(), RECORDS)
def test_a_changed_byte_spoils_at_most_its_own_record(draw, records):
    """Only within the record's bytes, and in the two bits of its length that the filling hides, can it pass unseen."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        write(path, [data for _, data in records], [label for label, _ in records])
        content = bytearray(path.read_bytes())
        place = draw.draw(st.integers(0, len(content) - 1))
        before = content[place]
        content[place] ^= draw.draw(st.integers(1, 255))
        path.write_bytes(content)
        offsets = [int(line.split("\t")[1]) for line in path.with_suffix(".idx").read_text().splitlines()]
        try:
            file = RecordFile(path)
        except ValueError as error:
            assert "x.rec: record 0" in str(error) and place < offsets[1]  # noqa: PT017
            return
        framing = {offset + byte for offset in offsets for byte in (0, 1, 2, 3, 5, 6, 7)}
        for key, (label, data) in enumerate(records, start=1):
            if key not in file.keys:
                continue
            own = offsets[key] <= place < offsets[key + 1]
            try:
                found = file.record(key)
            except ValueError as error:
                assert f"x.rec: record {key} " in str(error)  # noqa: PT017
                assert own
            else:
                assert own or same(found, label, data)
                assert not own or place not in framing
                if own and place == offsets[key] + 4:
                    assert (before ^ content[place]) < 4


@FAST
@given(st.data(), RECORDS)
def test_a_changed_index_gives_a_record_or_a_clear_error(draw, records):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.rec"
        write(path, [data for _, data in records], [label for label, _ in records])
        index = path.with_suffix(".idx")
        content = bytearray(index.read_bytes())
        for _ in range(draw.draw(st.integers(1, 3))):
            content[draw.draw(st.integers(0, len(content) - 1))] = draw.draw(st.sampled_from(b"0123456789\t\n\r x\xff"))
        index.write_bytes(content)
        try:
            for _, data in RecordFile(path):
                assert isinstance(data, bytes)
        except ValueError as error:
            assert "x.rec" in str(error) or "x.idx" in str(error)  # noqa: PT017
