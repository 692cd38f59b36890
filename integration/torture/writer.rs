//! A log and the programs that write to it: one that has its present file open, and a few that still hold older ones.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::books::Books;

/// So many programs hold on to older files of a log.
const OLD_HANDLES: usize = 2;

/// A program with a file open.
pub struct Handle {
    file: Arc<File>,
    pub generation: u32,
}

/// A generation under the name that rotation gave it.
pub struct Rotated {
    pub path: PathBuf,
    pub generation: u32,
}

/// See the module.
pub struct Log {
    /// Its name in the lines: the path on the host.
    pub name: Arc<str>,
    pub path: PathBuf,
    pub live: Handle,
    pub olds: Vec<Handle>,
    /// Youngest first.
    pub rotated: Vec<Rotated>,
    /// Where an unfinished line was written, and the rest of it.
    half: Option<(Handle, String)>,
    /// How many rotated files have borne a date.
    pub dates: u32,
    last: u32,
}

fn open(path: &Path) -> Arc<File> {
    Arc::new(
        File::options()
            .create(true)
            .append(true)
            .open(path)
            .expect("open a log"),
    )
}

fn put(file: &File, text: &str) {
    let mut file = file;
    file.write_all(text.as_bytes()).expect("write to a log");
}

impl Log {
    /// A new log.
    pub fn new(name: &str, path: PathBuf, books: &mut Books) -> Log {
        let name = Arc::from(name);
        books.begin(&name, 1);
        Log {
            live: Handle {
                file: open(&path),
                generation: 1,
            },
            name,
            path,
            olds: Vec::new(),
            rotated: Vec::new(),
            half: None,
            dates: 0,
            last: 1,
        }
    }

    /// Appends lines, with one system call or one each.
    pub fn write(&mut self, books: &mut Books, lines: usize, singly: bool) {
        self.finish();
        let text = books.lines(&self.name, self.live.generation, lines);
        if singly {
            text.split_inclusive('\n').for_each(|line| put(&self.live.file, line));
        } else {
            put(&self.live.file, &text);
        }
    }

    /// A program that holds an older file writes lines to it; false when there is none.
    pub fn write_late(&mut self, books: &mut Books, lines: usize) -> bool {
        self.finish();
        let Some(old) = self.olds.first() else { return false };
        put(&old.file, &books.lines(&self.name, old.generation, lines));
        true
    }

    /// Writes the first half of a line.
    pub fn write_half(&mut self, books: &mut Books) {
        self.finish();
        let text = books.lines(&self.name, self.live.generation, 1);
        let (first, rest) = text.split_at(text.len() / 2);
        put(&self.live.file, first);
        let handle = Handle {
            file: self.live.file.clone(),
            generation: self.live.generation,
        };
        self.half = Some((handle, rest.to_owned()));
    }

    /// Writes the rest of an unfinished line.
    pub fn finish(&mut self) {
        if let Some((handle, rest)) = self.half.take() {
            put(&handle.file, &rest);
        }
    }

    /// How many lines of the present file are unfinished.
    pub fn unfinished(&self) -> u32 {
        u32::from(
            self.half
                .as_ref()
                .is_some_and(|(half, _)| half.generation == self.live.generation),
        )
    }

    /// The path leads to another file from now on, made now if nobody did; a program keeps the old one open.
    pub fn begin_file(&mut self, books: &mut Books) {
        books.rotated(&self.name, self.live.generation, self.unfinished());
        let generation = self.next_generation(books);
        let new = Handle {
            file: open(&self.path),
            generation,
        };
        self.olds.insert(0, std::mem::replace(&mut self.live, new));
        self.olds.truncate(OLD_HANDLES);
    }

    /// The present file is cut to nothing, and goes on as the next generation.
    pub fn cut(&mut self, books: &mut Books) {
        File::set_len(&self.live.file, 0).expect("cut a log");
        self.was_cut(books);
    }

    /// Somebody cut the present file to nothing.
    pub fn was_cut(&mut self, books: &mut Books) {
        books.rotated(&self.name, self.live.generation, 0);
        self.live.generation = self.next_generation(books);
    }

    fn next_generation(&mut self, books: &mut Books) -> u32 {
        self.last += 1;
        books.begin(&self.name, self.last);
        self.last
    }
}
