use super::lock::LOCK;
use super::*;
use crate::identity::{Head, Inode};
use crate::position::{FileId, Mark};

fn record(path: &str, offset: u64) -> StreamRecord {
    StreamRecord {
        order: 1,
        inode: Inode {
            dev: 1,
            ino: 2,
            born: Some(3.into()),
        },
        head: Head::of(b"abc"),
        mark: Mark {
            offset,
            ..Mark::default()
        },
        size: 9,
        modified: 4,
        ..StreamRecord::example(path.as_ref(), FileId(7))
    }
}

fn saved(directory: &Path, offset: u64) {
    let lock = StateLock::acquire(directory).unwrap();
    let (mut store, _) = Store::open(directory, &lock).unwrap();
    let changes = Changes {
        puts: vec![record("/a", offset)],
        entries: vec!["app".into()],
        ..Changes::default()
    };
    store.save(&changes).unwrap();
}

#[test]
fn what_was_saved_is_read_back() {
    let directory = tempfile::tempdir().unwrap();
    saved(directory.path(), 5);
    saved(directory.path(), 6);
    let lock = StateLock::acquire(directory.path()).unwrap();
    let (mut store, found) = Store::open(directory.path(), &lock).unwrap();
    assert_eq!(found.streams, [record("/a", 6)]);
    assert_eq!(found.entries, ["app"]);
    store
        .save(&Changes {
            removes: vec![record("/a", 0).key()],
            ..Changes::default()
        })
        .unwrap();
    drop(store);
    assert!(Store::open(directory.path(), &lock).unwrap().1.streams.is_empty());
}

#[test]
fn a_path_that_is_not_utf8_survives() {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(b"/a/\xff.log"));
    let before = StreamRecord {
        path: path.into(),
        ..record("", 1)
    };
    let json = serde_json::to_vec(&before).unwrap();
    assert_eq!(serde_json::from_slice::<StreamRecord>(&json).unwrap(), before);
}

#[test]
fn a_damaged_store_is_moved_aside_and_said() {
    for damage in [&b""[..], b"garbage", &[0; 8192]] {
        let directory = tempfile::tempdir().unwrap();
        saved(directory.path(), 5);
        fs::write(directory.path().join(FILE), damage).unwrap();
        let lock = StateLock::acquire(directory.path()).unwrap();
        let (_, found) = Store::open(directory.path(), &lock).unwrap();
        assert_eq!(fs::read(found.damaged.unwrap()).unwrap(), damage);
        assert!(found.streams.is_empty());
    }
}

#[test]
fn a_directory_in_its_place_is_an_error_that_names_it() {
    let directory = tempfile::tempdir().unwrap();
    fs::create_dir(directory.path().join(FILE)).unwrap();
    let lock = StateLock::acquire(directory.path()).unwrap();
    let error = Store::open(directory.path(), &lock).unwrap_err();
    assert!(error.to_string().contains(FILE), "{error}");
}

#[test]
fn a_store_that_is_not_in_its_place_saves_nothing_until_it_is_back() {
    let directory = tempfile::tempdir().unwrap();
    let lock = StateLock::acquire(directory.path()).unwrap();
    let (mut store, _) = Store::open(directory.path(), &lock).unwrap();
    let (path, away) = (directory.path().join(FILE), directory.path().join("away"));
    let mut save = || {
        let changes = Changes {
            puts: vec![record("/a", 5)],
            ..Changes::default()
        };
        store.save(&changes)
    };
    save().unwrap();
    fs::rename(&path, &away).unwrap();
    save().unwrap_err();
    save().unwrap_err();
    assert!(!path.exists(), "never a new one");
    // Nor is another one taken for it.
    fs::copy(&away, &path).unwrap();
    save().unwrap_err();
    fs::rename(&away, &path).unwrap();
    save().unwrap();
    fs::remove_file(&path).unwrap();
    store.check().unwrap_err();
}

#[test]
fn positions_that_were_removed_are_not_said_to_be_saved() {
    let directory = tempfile::tempdir().unwrap();
    let lock = StateLock::acquire(directory.path()).unwrap();
    let open = crate::Positions::open(directory.path(), lock, std::time::Duration::ZERO);
    let (positions, _) = open.unwrap();
    fs::remove_dir_all(directory.path()).unwrap();
    assert!(
        !positions.close(),
        "nothing is left to save, and what was saved is gone"
    );
}

/// Another user's only where root runs the test: nobody else could make it so.
#[test]
fn what_is_created_belongs_to_whom_the_directory_belongs() {
    let directory = tempfile::tempdir().unwrap();
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(directory.path(), Some(65_534), Some(65_534)).unwrap();
    }
    saved(directory.path(), 5);
    for file in [LOCK, FILE] {
        let meta = fs::metadata(directory.path().join(file)).unwrap();
        let owner = fs::metadata(directory.path()).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (owner.uid(), owner.gid()), "{file}");
    }
}

#[test]
fn a_second_holder_learns_the_first_ones_pid() {
    let directory = tempfile::tempdir().unwrap();
    let first = StateLock::acquire(directory.path()).unwrap();
    match StateLock::acquire(directory.path()) {
        Err(StoreError::Held { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    StateLock::acquire(directory.path()).unwrap();
}

#[test]
fn a_store_that_is_open_elsewhere_is_not_taken_for_damaged() {
    let directory = tempfile::tempdir().unwrap();
    saved(directory.path(), 5);
    let lock = StateLock::acquire(directory.path()).unwrap();
    let running = Store::open(directory.path(), &lock).unwrap();
    // The lock of a service that runs guards nothing once its file is deleted.
    fs::remove_file(directory.path().join(LOCK)).unwrap();
    let second = StateLock::acquire(directory.path()).unwrap();
    let error = Store::open(directory.path(), &second).unwrap_err();
    assert!(matches!(error, StoreError::Held { .. }), "{error}");
    drop(running);
    let (_, found) = Store::open(directory.path(), &second).unwrap();
    assert_eq!((found.streams, found.damaged), (vec![record("/a", 5)], None));
}

#[test]
fn a_store_that_was_deleted_is_not_damaged_because_an_older_one_was() {
    let directory = tempfile::tempdir().unwrap();
    let lock = StateLock::acquire(directory.path()).unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "garbage").unwrap();
    assert!(Store::open(directory.path(), &lock).unwrap().1.damaged.is_some());
    fs::remove_file(&path).unwrap();
    assert_eq!(Store::open(directory.path(), &lock).unwrap().1.damaged, None);
}

#[test]
fn a_start_that_ended_while_it_moved_a_damaged_store_aside_is_gone_on_with() {
    let directory = tempfile::tempdir().unwrap();
    let lock = StateLock::acquire(directory.path()).unwrap();
    let path = directory.path().join(FILE);
    fs::write(&path, "garbage").unwrap();
    let (store, found) = Store::open(directory.path(), &lock).unwrap();
    drop(store);
    // As it was before the new one took its place.
    fs::rename(&path, path.with_extension("redb.new")).unwrap();
    assert_eq!(Store::open(directory.path(), &lock).unwrap().1.damaged, found.damaged);
}
