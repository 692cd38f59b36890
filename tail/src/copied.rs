//! Where the content of a file is that was cut in place: in a copy beside it.

use std::fs::File;
use std::io;
use std::time::Instant;

use crate::explain::{Content, came_since};
use crate::file::is_copy;
use crate::generation::Generation;
use crate::identity::Stat;
use crate::resume::Found;
use crate::siblings::Sibling;
use crate::source::Source;
use crate::unseen::older;
use crate::watcher::Watcher;

/// A file that holds what a generation held.
pub(crate) struct FoundCopy {
    pub(crate) source: Source,
    pub(crate) stat: Stat,
    /// Everything up to the position is in it; else it ends before.
    pub(crate) is_whole: bool,
}

impl Watcher {
    /// The copy of a truncated generation: a sibling with the same first bytes and the same bytes before the position;
    /// else a younger one that begins like it and ends before. When nothing was ever seen in it, the oldest one that
    /// is younger than the generation itself.
    ///
    /// # Errors
    /// When that is not known yet, see [`crate::inspect`]; when a file or directory cannot be read.
    pub(crate) fn find_copy(&mut self, generation: &Generation) -> io::Result<Option<FoundCopy>> {
        if generation.is_untouched() {
            let mut copies = self.untouched_copies(generation)?.into_iter();
            return Ok(copies.find(|copy| self.take(copy.stat.inode)));
        }
        let record = generation.stream().record();
        let (mark, head) = (generation.next(), generation.head());
        let mut shorter = None;
        for sibling in self.siblings()? {
            if sibling.stat.inode == generation.inode() || self.is_known(&sibling) {
                continue;
            }
            if let Some((source, stat)) = self.holding(&sibling, &record, &mark, head)?
                && self.take(stat.inode)
            {
                let is_whole = true;
                return Ok(Some(FoundCopy { source, stat, is_whole }));
            }
            let is_later = sibling.stat.inode.born > record.inode.born || came_since(&sibling, &record);
            if sibling.is_archive() || shorter.is_some() || !is_later {
                continue;
            }
            if let Some((Source::Plain(file), stat)) = self.open_sibling(&sibling)?
                && generation.begins_like(&file, stat.size)?
            {
                let (source, is_whole) = (file.into(), false);
                shorter = Some(FoundCopy { source, stat, is_whole });
            }
        }
        Ok(shorter.filter(|copy| self.take(copy.stat.inode)))
    }

    /// A file that was empty whenever it was looked at, and has a younger sibling: what was written to it meanwhile may be
    /// in there, copied away before its truncation. Looked for before its first bytes are read.
    pub(crate) fn look_for_lost_beginning(&mut self, looked_around: bool, now: Instant) -> io::Result<()> {
        let Some(mut live) = self.live.take_if(|live| live.is_untouched()) else {
            return Ok(());
        };
        let has_copy = if looked_around || live.stat()?.size > 0 {
            let copies = self.untouched_copies(&live);
            copies.map(|copies| copies.iter().any(|copy| !self.has_other_reader(copy.stat.inode)))
        } else {
            Ok(false)
        };
        self.live = Some(live);
        if has_copy? {
            self.truncated(now)?;
        }
        Ok(())
    }

    /// A file of which nothing was saved as delivered is known by its inode alone, and keeps that through a copy and
    /// truncate: its content is then in the oldest copy that is younger than our first sight of it.
    pub(crate) fn in_oldest_copy(
        &mut self,
        hit: Found,
        live: Option<&(File, Stat)>,
        around: &[Sibling],
        taken: &[Found],
        mut contents: Vec<Content>,
    ) -> io::Result<Found> {
        let record = &hit.stream.record();
        if !record.head.is_empty() || record.mark.offset > 0 || record.is_undecided_copy() {
            return Ok(hit);
        }
        let is_taken_here = |sibling: &Sibling| taken.iter().any(|other| other.stat.inode == sibling.stat.inode);
        let are_ours = self.confirms(around) || around.iter().any(|s| s.is_ambiguous() && is_taken_here(s));
        let older = hit.sibling.map_or(0, |index| index + 1);
        for (index, sibling) in around.iter().enumerate().skip(older).rev() {
            let is_taken = is_taken_here(sibling) || self.is_known(sibling);
            let is_hit = hit.stat.inode == sibling.stat.inode || self.is_at_path(live, sibling);
            // The truncation came after the copy.
            let is_before = sibling.is_archive() || sibling.stat.modified <= hit.stat.modified;
            let may_be = is_before && (are_ours || !sibling.is_ambiguous()) && came_since(sibling, record);
            if is_taken || is_hit || !may_be {
                continue;
            }
            if sibling.is_archive() && self.explained(sibling, &mut contents)?.is_some() {
                // Another generation, or read already under a path of its own.
                continue;
            }
            let Some((source, stat)) = self.open_filled(sibling)? else {
                continue;
            };
            // What was copied of it and is still in it is no content that it lost.
            let is_of_now = match (&source, &hit.source) {
                (Source::Plain(file), Source::Plain(live)) => is_copy(file, &stat, live, &hit.stat)?,
                _ => false,
            };
            if !is_of_now && self.take(stat.inode) {
                return Ok(Found {
                    stream: hit.stream,
                    source,
                    stat,
                    sibling: Some(index),
                });
            }
        }
        Ok(hit)
    }

    /// Siblings that may hold what was written to a file between two looks at which it was empty, oldest first.
    fn untouched_copies(&mut self, generation: &Generation) -> io::Result<Vec<FoundCopy>> {
        let record = generation.stream().record();
        let around = self.siblings()?;
        let are_ours = self.confirms(&around);
        let around = older(around, generation.inode(), &self.spec.path)?;
        let mut around = self.unknown_since(around, &record);
        // The truncation came after the copy, and changed the file.
        let cut = generation.modified()?;
        around.retain(|sibling| {
            let born = sibling.stat.inode.born.filter(|_| !sibling.is_archive());
            cut >= sibling.stat.modified.max(born.map_or(i64::MIN, i64::from)) && (are_ours || !sibling.is_ambiguous())
        });
        let mut copies = Vec::new();
        let mut contents = self.contents();
        contents.extend(Content::if_nameless(generation)?);
        for sibling in self.unexplained(around, contents)?.iter().rev() {
            let Some((source, stat)) = self.open_filled(sibling)? else {
                continue;
            };
            let is_of_now = match &source {
                Source::Plain(file) => generation.has_copy(file, &stat)?,
                Source::Archive(_) => false,
            };
            if !is_of_now {
                let is_whole = true;
                copies.push(FoundCopy { source, stat, is_whole });
            }
        }
        Ok(copies)
    }
}
