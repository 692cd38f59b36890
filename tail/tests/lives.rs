//! Lives in which a line was once lost or came twice: found by `model`, and shrunk. Many depend on how much happens within
//! one tick of the clock that file systems stamp with, so each is lived a few times.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

mod life;
mod rig;

use life::Action::{
    self, Acknowledge, Close, Compress, CopyTruncate, Crash, Delete, Down, Halves, Late, Pass, Read, ReadUntold,
    Restart, Rotate, Save, Truncate, Write,
};
use life::{Pattern, World};

/// What was in flight is in Kafka.
const CRASH: Action = Crash { arrived: true, down: 0 };

/// Lives each of these.
fn check(pattern: Pattern, lives: &[&[Action]]) {
    for life in lives {
        for _ in 0..5 {
            World::live(life, pattern).unwrap_or_else(|fault| panic!("{fault} in {life:?}"));
        }
    }
}

/// The generation before was open or compressed; its archive was taken for that of one in which nothing was ever seen.
#[test]
fn what_an_open_generation_holds_is_not_in_an_unread_one() {
    check(
        Pattern::One,
        &[
            &[Write(1, 0), Rotate, Compress, Close(0), Delete],
            &[Write(1, 0), Rotate, Compress, Close(2), Rotate, Compress],
            &[CopyTruncate(1, false), Delete, Compress, Close(0), Delete],
            &[
                CopyTruncate(1, false),
                Pass(0),
                Compress,
                Write(1, 0),
                Truncate,
                Close(0),
                Delete,
                Write(1, 0),
            ],
            &[Rotate, Late, Close(0), Read(0), Rotate, Compress, Compress],
            &[
                Rotate,
                Write(1, 0),
                Rotate,
                Rotate,
                Compress,
                Compress,
                Close(0),
                Delete,
            ],
            &[
                Write(1, 0),
                Rotate,
                Compress,
                CRASH,
                Write(1, 0),
                Close(2),
                Rotate,
                Compress,
            ],
            &[
                Write(1, 0),
                Close(2),
                Rotate,
                Compress,
                Read(1),
                Close(2),
                Rotate,
                Compress,
                Write(1, 0),
            ],
        ],
    );
}

/// Its beginning was first seen when it was found under its new name, and then it was no longer one that could have a copy.
#[test]
fn a_closed_file_in_which_nothing_was_seen_has_its_copy_looked_for_when_it_is_rotated() {
    check(
        Pattern::One,
        &[&[CopyTruncate(1, false), Close(0), Write(1, 0), Rotate, Write(1, 0)]],
    );
}

/// A generation whose content is gone let go of the file that the next one is in.
#[test]
fn a_truncated_file_stays_with_its_watcher_across_a_restart_and_a_rotation() {
    check(
        Pattern::AllAfter,
        &[
            &[
                Write(1, 0),
                Close(1),
                Truncate,
                Restart,
                Pass(0),
                Write(1, 0),
                Rotate,
                Write(1, 0),
            ],
            &[
                Rotate,
                Close(2),
                Write(1, 0),
                Truncate,
                Close(3),
                Write(1, 1),
                Pass(59),
                Rotate,
            ],
        ],
    );
}

/// Both lines end alike, in more bytes than are compared before a position.
#[test]
fn a_closed_file_that_was_seen_shorter_was_cut_whatever_it_holds_then() {
    check(
        Pattern::One,
        &[
            &[Write(1, 40_000), Close(1), Truncate, Write(1, 40_000), Write(1, 0)],
            &[
                Close(4),
                Write(1, 0),
                Read(0),
                Truncate,
                Write(1, 40_000),
                Truncate,
                Write(1, 40_000),
                Compress,
            ],
        ],
    );
}

/// It was taken for the content of the next generation, and that one's place for the end of what an archive could be.
#[test]
fn an_empty_copy_is_no_generation() {
    check(
        Pattern::One,
        &[&[
            CopyTruncate(0, false),
            Rotate,
            Read(0),
            Write(1, 0),
            Restart,
            Late,
            Compress,
            Write(1, 0),
            Write(1, 0),
        ]],
    );
}

/// The model once took a file for read that waits for an acknowledgement before it is looked for.
#[test]
fn a_closed_file_that_is_in_flight_is_looked_for_when_it_is_settled() {
    check(
        Pattern::One,
        &[&[Write(1, 0), Read(1), Close(2), Rotate, Compress, Write(1, 0), Truncate]],
    );
}

/// The fingerprint of the whole first kilobyte cannot tell a copy of less than that.
#[test]
fn a_copy_shorter_than_a_head_is_known_when_the_file_was_read_beyond_one() {
    let life: &[Action] = &[
        Write(4, 45),
        Write(4, 13),
        Write(5, 56),
        Write(5, 29),
        Write(5, 34),
        CopyTruncate(1, true),
    ];
    check(Pattern::One, &[life]);
}

/// It was found, to be opened when the one before it is read, and the service ended meanwhile.
#[test]
fn an_archive_between_two_known_generations_is_found_again_after_a_restart() {
    let life: &[Action] = &[
        Write(1, 0),
        Rotate,
        Write(1, 0),
        Rotate,
        Compress,
        Write(1, 0),
        CopyTruncate(0, false),
        Write(1, 0),
        Restart,
    ];
    check(Pattern::One, &[life]);
}

/// The record of the watcher that once had it as a copy reserved it at the start.
#[test]
fn a_file_that_was_taken_from_a_watcher_of_copies_stays_with_its_reader_across_restarts() {
    check(
        Pattern::AllBefore,
        &[
            &[
                Rotate,
                Close(3),
                Write(2, 41),
                Down(3),
                Write(4, 4),
                CopyTruncate(2, false),
                Rotate,
                Write(2, 55),
                Restart,
                CRASH,
                Close(4),
                Rotate,
                Write(4, 17),
                Delete,
                Truncate,
            ],
            &[
                Rotate,
                Write(1, 6),
                Save,
                Rotate,
                Read(2),
                Write(4, 36),
                Late,
                Restart,
                Rotate,
                Rotate,
                CRASH,
                Write(1, 40_000),
                Halves(false),
                Write(1, 12),
                Write(3, 21),
                Restart,
                Close(3),
                Halves(false),
                Write(3, 34),
                Close(5),
                Rotate,
                Write(5, 0),
                Read(0),
                Acknowledge,
                Pass(59),
                Write(3, 49),
            ],
        ],
    );
}

/// What of a possible copy is compressed before it is decided: its own watcher had its handle, or found its archive.
#[test]
fn a_possible_copy_that_is_compressed_is_read_once_from_its_archive() {
    check(
        Pattern::AllAfter,
        &[
            &[CopyTruncate(1, false), Compress, CopyTruncate(0, true)],
            &[CopyTruncate(0, false), Write(1, 0), Rotate, Compress, Compress],
            &[CopyTruncate(1, false), Compress, Write(1, 0), Restart, Rotate, Restart],
            &[CopyTruncate(1, false), Close(1), Rotate, Compress, Compress, Read(0)],
            &[
                CopyTruncate(1, false),
                Rotate,
                Down(1),
                Compress,
                Write(1, 0),
                Read(1),
                Compress,
            ],
            &[CopyTruncate(1, false), Write(1, 0), CRASH, Compress, Restart],
        ],
    );
    check(
        Pattern::AllBefore,
        &[
            &[
                CopyTruncate(0, false),
                Write(1, 0),
                Read(1),
                Rotate,
                Restart,
                Compress,
                Restart,
            ],
            &[CopyTruncate(1, true), Compress, Restart],
            &[
                Rotate,
                Rotate,
                Write(1, 0),
                Rotate,
                Read(0),
                Compress,
                CRASH,
                Write(1, 0),
                CopyTruncate(0, false),
            ],
            &[
                CopyTruncate(1, false),
                Write(1, 0),
                CRASH,
                Write(2, 25),
                Compress,
                Rotate,
                Pass(86),
                Restart,
                Delete,
            ],
            &[
                Write(1, 0),
                Rotate,
                CopyTruncate(1, false),
                Write(1, 0),
                Rotate,
                Close(3),
                Compress,
                Pass(5),
                Restart,
            ],
            &[
                Write(2, 0),
                Truncate,
                CopyTruncate(1, false),
                Rotate,
                Truncate,
                Compress,
                Compress,
            ],
            &[
                Down(2),
                Write(1, 0),
                CopyTruncate(0, false),
                Compress,
                CopyTruncate(0, false),
            ],
            &[Down(1), CopyTruncate(1, false), Write(1, 0), Read(0), Compress, Restart],
        ],
    );
}

/// What nobody was sure of was not looked at by the watcher of the log; and what went from a path whose watcher had it from
/// another path was nobody's any more.
#[test]
fn a_possible_copy_of_an_unread_file_is_read_once_by_the_watcher_of_its_log() {
    check(
        Pattern::AllAfter,
        &[
            &[CopyTruncate(1, false), Close(3), Rotate, Pass(5), Rotate],
            &[CopyTruncate(1, false), Rotate, Halves(true), Close(2), Pass(2), Rotate],
            &[
                CopyTruncate(1, false),
                Close(2),
                Write(1, 0),
                Pass(2),
                CopyTruncate(0, false),
                Compress,
                Compress,
                Write(1, 2),
            ],
        ],
    );
}

/// Its archive was taken for a copy of one in which nothing was seen, or for that one's own.
#[test]
fn the_archive_of_an_empty_generation_is_nobodys() {
    check(
        Pattern::One,
        &[
            &[Rotate, Truncate, Write(1, 0), Rotate, Compress, Compress, ReadUntold(1)],
            &[Rotate, Truncate, Late, Compress, Write(1, 0)],
            &[Rotate, Truncate, Late, Compress, Rotate, Write(1, 0)],
            &[Rotate, Read(0), Write(1, 0), Late, Compress, Rotate],
            &[
                CopyTruncate(0, false),
                Rotate,
                Write(1, 0),
                Restart,
                Late,
                Compress,
                Compress,
            ],
        ],
    );
}

#[test]
fn the_archive_of_a_live_file_whose_rotation_was_not_noticed_is_no_generation_that_nobody_saw() {
    let life: &[Action] = &[CopyTruncate(1, false), Write(1, 0), Rotate, Compress, ReadUntold(1)];
    check(Pattern::One, &[life]);
}

/// Nothing was ever seen in a generation when it was rotated and compressed: its successor was taken for older.
#[test]
fn what_came_after_an_unread_generation_that_was_compressed_is_read_after_it() {
    check(
        Pattern::One,
        &[
            &[Write(1, 0), Rotate, Compress, Write(1, 0), Rotate, Write(1, 0)],
            &[Write(1, 0), Rotate, Write(1, 0), Compress, Rotate, Close(0)],
        ],
    );
}
