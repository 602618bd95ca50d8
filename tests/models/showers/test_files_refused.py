"""Files that cannot be read, or not in the memory there is, are refused in one line."""

import pickle

import h5py
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shower_files import PB_LAR, SMALL, N, write

from models.detector import files as geometries
from models.showers import hdf5, readers
from models.showers.readers import ReaderError, gather, open_source, read

pytest.importorskip("uproot")


def test_empty_tables_say_that_they_are_empty(tmp_path, cells, energy):
    for showers in (
        pa.array(cells.tolist()),
        pa.FixedSizeListArray.from_arrays(pa.array(cells.ravel()), 8),
    ):
        table = pa.table({"showers": showers, "e_inc": energy})
        pq.write_table(table.slice(0, 0), tmp_path / "a.parquet")
        with pytest.raises(ReaderError, match="holds no showers"):
            open_source(tmp_path / "a.parquet", SMALL)


def test_a_filter_that_hdf5_lacks_is_named(tmp_path, cells, energy):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["incident_energies"] = energy
        plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        plist.set_chunk(cells.shape)
        plist.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (2, 2, 4, cells.nbytes, 5, 1, 0))
        space = h5py.h5s.create_simple(cells.shape)
        made = h5py.h5d.create(file.id, b"showers", h5py.h5t.IEEE_F32LE, space, plist)
        made.write_direct_chunk((0, 0), cells.tobytes()[:100], 0)
    with pytest.raises(ReaderError, match=r"filter 32001 \(blosc\).*hdf5plugin"):
        open_source(path, SMALL)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b"hello, this is text", "not HDF5, Parquet or ROOT"),
        (pickle.dumps({"showers": 1}), "pickle"),
        (b"\x93NUMPY\x01\x00", "numpy"),
        (b"PK\x03\x04zzzz", "numpy or torch"),
        (b"PAR1 and no more", "Parquet, but damaged"),
        (b"root\x00\x00\xf0\x00 and no more", "ROOT, but damaged"),
        (b"\x89HDF\r\n\x1a\n and no more", "HDF5, but damaged"),
    ],
)
def test_a_file_in_disguise_is_refused_whatever_its_name(tmp_path, content, says):
    path = tmp_path / "showers.h5"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match=says) as caught:
        read(path, SMALL)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused_in_one_line(tmp_path):
    with pytest.raises(ReaderError, match="No such file"):
        read(tmp_path / "none.h5", SMALL)


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_truncated_file_is_refused_in_one_line(tmp_path, share):
    whole = (PB_LAR / "mu.h5").read_bytes()
    path = tmp_path / "cut.h5"
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ReaderError, match="damaged or truncated"):
        read(path, geometries.load(geometries.SHIPPED / "pb-lar-504.json"))


def test_damage_in_the_data_is_refused_in_one_line(tmp_path):
    content = bytearray((PB_LAR / "mu.h5").read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4000] = bytes(4000)
    path = tmp_path / "damaged.h5"
    path.write_bytes(content)
    with pytest.raises(ReaderError, match="damaged"):
        read(path, geometries.load(geometries.SHIPPED / "pb-lar-504.json"))


def test_a_link_to_another_file_is_not_followed(tmp_path, cells):
    write(tmp_path / "secret.h5", showers=cells)
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["showers"] = h5py.ExternalLink("secret.h5", "showers")
    with pytest.raises(ReaderError, match="`showers` holds a link to another file"):
        read(tmp_path / "link.h5", SMALL)
    with h5py.File(tmp_path / "soft.h5", "w") as file:
        file["out"] = h5py.ExternalLink("secret.h5", "/")
        file["showers"] = h5py.SoftLink("/out/showers")
        file["e_inc"] = h5py.SoftLink("e_inc")
    with pytest.raises(ReaderError, match="`showers` holds a link to another file"):
        read(tmp_path / "soft.h5", SMALL)
    (tmp_path / "raw").write_bytes(bytes(N * 8 * 4))
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        raw = [(str(tmp_path / "raw"), 0, N * 8 * 4)]
        file.create_dataset("showers", (N, 8), "f4", external=raw)
    with pytest.raises(ReaderError, match="another file"):
        read(tmp_path / "raw.h5", SMALL)


def test_the_limit_on_memory_is_for_all_files_together(tmp_path, monkeypatch, cells):
    files = [open_source(write(tmp_path / f"{i}.h5", showers=cells), SMALL) for i in range(3)]
    monkeypatch.setattr(readers, "MAX_BYTES", cells.nbytes * 2)
    assert gather(files[:2]).counts == (N, N)
    with pytest.raises(ReaderError, match="in 3 files"):
        gather(files)


def test_sizes_are_checked_before_memory_is_taken(tmp_path, monkeypatch):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:  # a few kB that claim 32 TB of showers
        file.create_dataset("showers", (10**12, 8), "f4", chunks=(1024, 8), compression="gzip")
    with pytest.raises(ReaderError, match="32000 GB of cells"):
        read(path, SMALL)
    monkeypatch.setattr(hdf5, "MAX_PIECE", 1000)
    with pytest.raises(ReaderError, match="chunks"):
        open_source(path, SMALL)
