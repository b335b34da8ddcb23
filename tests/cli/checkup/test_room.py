"""Disk and descriptors."""

import os
import resource

import pytest

from tickerd.cli.checkup.room import descriptors, disk
from tickerd.journal.files import Files, Room

GIB = 2**30


@pytest.mark.parametrize(
    ("free", "level", "text"),
    [
        (5 * 2**20, "ok", "5.0 MiB of 10.0 GiB free"),
        (2**20 + 1, "warning", "1.0 MiB free, and journal.min_free keeps 1.0 MiB of it"),
        (2**19, "problem", "512.0 KiB free, less than journal.min_free (1.0 MiB)"),
    ],
)
def test_room_is_judged_by_what_the_journal_has_to_leave(patient, tmp_path, monkeypatch, free, level, text):
    monkeypatch.setattr(Files, "room", lambda *_: Room(total=10 * GIB, free=free))
    first = next(disk(patient()))
    assert (first.level, first.text) == (level, f"{tmp_path}: {text}")


def test_few_inodes_are_told(patient, said, monkeypatch):
    values = list(os.statvfs("/"))
    values[5], values[7] = 1000, 3
    monkeypatch.setattr(os, "statvfs", lambda _: os.statvfs_result(values))
    assert ("warning", "only 3 of 1,000 inodes are left") in [
        (level, text.partition(": ")[2]) for level, text in said(disk(patient()))
    ]


def test_a_disk_that_cannot_be_looked_at_is_told(patient, said, monkeypatch):
    def failing(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(Files, "room", failing)
    assert [level for level, _ in said(disk(patient()))] == ["problem"]


def test_a_low_limit_is_told_and_a_high_one_is_fine(patient, said, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    assert said(descriptors(patient())) == [("warning", "processes of this user may open 1,024 files")]
    monkeypatch.setattr(resource, "getrlimit", lambda _: (65536, 65536))
    assert said(descriptors(patient())) == []


def test_of_a_daemon_that_runs_its_own_are_counted(patient):
    (one,) = descriptors(patient(process=os.getpid()))
    assert one.text.startswith(f"process {os.getpid()} may open ")
    assert "has " in one.text
    (gone,) = descriptors(patient(process=2**22 + 1))
    assert gone.level == "skipped"
