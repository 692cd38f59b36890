//! Generations that nobody saw, because they were born and rotated away between two looks: they are read whole, in their
//! order.

use std::io;
use std::path::Path;
use std::time::Instant;

use crate::explain::{Content, came_since, changed_since, is_ahead, since};
use crate::file::{first_bytes, is_copy, open_found};
use crate::generation::Generation;
use crate::identity::{Head, Inode, Stat};
use crate::inspect::undecided;
use crate::olds::Old;
use crate::position::{Life, StreamRecord};
use crate::siblings::Sibling;
use crate::source::Source;
use crate::watcher::Watcher;
use crate::wrong::{Wrong, does};

/// A generation that nobody saw, open and not taken in yet.
pub(crate) struct Unseen {
    pub(crate) sibling: Sibling,
    source: Source,
    stat: Stat,
}

/// What lies after a generation, and that no stream knows.
#[derive(Default)]
pub(crate) struct Later {
    /// Of archives only their content can tell, once the generation is read.
    archives: Vec<Inode>,
    pub(crate) unseen: Vec<Unseen>,
}

impl Watcher {
    /// Opens what lies between a generation, whose file is or was this, and the live file, and that no stream knows; takes nothing
    /// in, so that all is as it was where that fails. `but` is no such file, whatever its name.
    pub(crate) fn unseen_after(&mut self, record: &StreamRecord, stat: &Stat, but: Inode) -> io::Result<Later> {
        let around = self.siblings()?;
        let unknown = around.iter().filter(|s| s.is_archive() && !self.is_known(s));
        let known = Known::of(record, stat.inode, stat.modified);
        Ok(Later {
            archives: unknown.map(|sibling| sibling.stat.inode).collect(),
            unseen: self.plain_after(around, &known, but)?,
        })
    }

    /// Takes in what was opened after the youngest of the old ones.
    pub(crate) fn take_in_after(&mut self, later: Later, now: Instant) -> io::Result<()> {
        if let Some(old) = self.olds.last_mut() {
            old.archives = later.archives;
        }
        self.take_in(later.unseen, now)
    }

    /// Opens what nobody saw between the youngest generation that is known and the file that is about to be read, once
    /// that is open: what was born and rotated away between the looks before and that moment is there now.
    pub(crate) fn open_unseen_before_live(&mut self, live: Inode, now: Instant) -> io::Result<()> {
        let known = self.world.positions.of(&self.spec.log, &self.spec.path);
        let Some(youngest) = known.last().map(|stream| stream.record()) else {
            // At first sight the siblings that exist are never read.
            return Ok(());
        };
        let around = older(self.siblings()?, live, &self.spec.path)?;
        let known = Known::of(&youngest, youngest.inode, youngest.modified);
        let unseen = self.plain_after(around, &known, live)?;
        self.take_in(unseen, now)
    }

    /// Opens those that are plain of what lies after a generation.
    fn plain_after(&mut self, around: Vec<Sibling>, known: &Known, but: Inode) -> io::Result<Vec<Unseen>> {
        let mut unseen = after(around, known, but);
        unseen.retain(|sibling| !sibling.is_archive());
        self.open_each(unseen)
    }

    /// What lies between a copy of a generation that was cut, and of which nothing is read, and what is in its file now, of
    /// which this is a look: youngest first, and archives among it that hold nothing that is known.
    ///
    /// # Errors
    /// When that is not known yet, see [`crate::inspect`]; when a file or directory cannot be read.
    pub(crate) fn unseen_after_copy(&mut self, copy: &Stat, generation: &Generation, live: &Stat) -> io::Result<Later> {
        let record = generation.stream().record();
        let known = Known::of(&record, copy.inode, copy.modified);
        let between = after(self.siblings()?, &known, live.inode);
        let mut unseen = self.unknown_since(between, &record);
        // Of a file without a name, an archive may be its own.
        unseen.retain(|sibling| !sibling.is_archive() || live.links > 0 && !self.has_other_owner(sibling.stat.inode));
        let mut contents = self.contents();
        contents.push(Content::in_file(generation));
        let unseen = self.unexplained(unseen, contents)?;
        Ok(Later {
            archives: Vec::new(),
            unseen: self.open_each(unseen)?,
        })
    }

    /// What lies before a file in which nothing was ever seen and that is rotated now, and came to be after its first
    /// sight: what was written to it meanwhile may have been copied away, and the copy be rotated with it.
    pub(crate) fn unseen_before(&mut self, inode: Inode, record: &StreamRecord) -> io::Result<Vec<Sibling>> {
        let mut around = self.siblings()?;
        let are_ours = self.confirms(&around);
        match around.iter().position(|sibling| sibling.stat.inode == inode) {
            Some(index) => drop(around.drain(..=index)),
            None => self.drop_younger(&mut around)?,
        }
        let mut unknown = self.unknown_since(around, record);
        unknown.retain(|sibling| are_ours || !sibling.is_ambiguous());
        let mut contents = self.contents();
        contents.extend(self.live.as_ref().map(Content::in_file));
        self.unexplained(unknown, contents)
    }

    /// Of siblings, youngest first, drops those that are younger than the live file, which has no name among them.
    fn drop_younger(&mut self, around: &mut Vec<Sibling>) -> io::Result<()> {
        let Some(live) = &self.live else { return Ok(()) };
        let (head, mark, modified) = (live.head(), live.witness(), live.modified()?);
        // Its copies were written before it was cut, which it says; what is equal may be older.
        around.retain(|sibling| sibling.stat.modified <= modified);
        if mark.offset == 0 {
            return Ok(());
        }
        for index in (0..around.len()).rev() {
            if around[index].is_archive() && self.inspections.holds(&around[index], head, &mark)? {
                around.drain(..index);
                break;
            }
        }
        Ok(())
    }

    /// Siblings that are no one's, and that came to be after the first sight of a generation.
    pub(crate) fn unknown_since(&self, mut around: Vec<Sibling>, record: &StreamRecord) -> Vec<Sibling> {
        around.retain(|sibling| {
            let is_new = sibling.stat.size > 0 && came_since(sibling, record);
            is_new && !self.is_known(sibling) && !self.is_someones(sibling.stat.inode)
        });
        around
    }

    /// Whether siblings with ambiguous names are generations of this path: one of them is, as is known.
    pub(crate) fn confirms(&self, around: &[Sibling]) -> bool {
        let mut ambiguous = around.iter().filter(|sibling| sibling.is_ambiguous());
        ambiguous.any(|sibling| self.is_known(sibling))
    }

    /// Whether a sibling is left to a watcher of its own: it may be a log of its own, and if not, its lines ship all the same.
    fn is_left_to_its_own(&self, sibling: &Sibling) -> io::Result<bool> {
        let looks = &self.world.claims.looks;
        Ok(sibling.is_ambiguous()
            && looks.is_watched(&self.spec.log, &sibling.path)
            && !self.confirms(&self.siblings()?))
    }

    /// Whether a stream knows a file, and not as what may be a copy of ours.
    pub(crate) fn is_someones(&self, inode: Inode) -> bool {
        let known = self.world.positions.known(&self.spec.log, inode);
        known.is_some_and(|stream| !stream.record().is_undecided_copy())
    }

    /// All positions are gone: what was rotated since they were last saved may never have been read.
    pub(crate) fn open_since_damage(&mut self, now: Instant) -> io::Result<()> {
        let Some(since) = self.world.positions.damaged_since() else {
            return Ok(());
        };
        let mut unseen = self.siblings()?;
        unseen.retain(|sibling| sibling.stat.modified >= since);
        let unseen = self.open_each(unseen)?;
        self.take_in(unseen, now)
    }

    /// Opens generations that nobody saw, or fails and changes nothing: of a part that was taken in, the next try would know,
    /// and put the rest elsewhere.
    pub(crate) fn open_each(&mut self, siblings: Vec<Sibling>) -> io::Result<Vec<Unseen>> {
        let opened = siblings.into_iter().map(|sibling| self.open_unseen(sibling));
        opened.filter_map(io::Result::transpose).collect()
    }

    /// The old ones go on with generations that nobody saw, of which the youngest comes first.
    pub(crate) fn take_in(&mut self, unseen: Vec<Unseen>, now: Instant) -> io::Result<()> {
        for unseen in unseen.into_iter().rev() {
            let old = self.unseen(unseen, now)?;
            self.olds.extend(old);
        }
        Ok(())
    }

    /// Opens a generation that nobody saw, unless it is none.
    pub(crate) fn open_unseen(&mut self, sibling: Sibling) -> io::Result<Option<Unseen>> {
        // One of the path's own name may have been there for years.
        if sibling.is_in_place() || self.is_known(&sibling) || does(Wrong::UnseenGenerationSkipped) {
            return Ok(None);
        }
        if self.is_left_to_its_own(&sibling)? {
            return Ok(None);
        }
        let Some((source, stat)) = self.open_sibling(&sibling)? else {
            return Ok(None);
        };
        // A copy of what is read anyway.
        if let Source::Plain(file) = &source
            && let Some((live, live_stat)) = open_found(&self.spec.path)?
            && is_copy(file, &stat, &live, &live_stat)?
        {
            return Ok(None);
        }
        Ok(Some(Unseen { sibling, source, stat }))
    }

    /// Such a generation is read from its start.
    pub(crate) fn unseen(&mut self, unseen: Unseen, now: Instant) -> io::Result<Option<Old>> {
        let Unseen { sibling, source, stat } = unseen;
        // Also from a watcher of its own path that does not know what it is.
        if self.is_known(&sibling) || !self.take(stat.inode) {
            return Ok(None);
        }
        log::info!(path:% = self.spec.path.display(), generation:% = sibling.path.display(), bytes = stat.size;
            "reading a rotated file that was never seen before");
        let stream = match &source {
            Source::Plain(file) => self.begin(Head::of(&first_bytes(file)?), &stat),
            // Nothing of it is decoded yet.
            Source::Archive(_) => self.begin_unread(&Stat { size: 0, ..stat }),
        };
        stream.update(|record| record.life = Life::Rotated);
        let generation = Generation::open(source, &stat, stream)?;
        Ok(Some(Old::new(generation, now)))
    }
}

/// Of siblings, youngest first, those that are older than a file that was at the path when it was opened. It may have been
/// rotated since: then others came after it.
///
/// # Errors
/// [`undecided`] where it is neither at the path nor listed, as when it was compressed: what is listed may have come before it
/// or after it, and the next look finds it rotated.
pub(crate) fn older(siblings: Vec<Sibling>, file: Inode, path: &Path) -> io::Result<Vec<Sibling>> {
    let is_listed = siblings.iter().any(|sibling| sibling.stat.inode == file);
    let is_elsewhere = || match std::fs::metadata(path) {
        Ok(meta) => Stat::from(&meta).inode != file,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !is_listed && is_elsewhere() {
        return Err(undecided());
    }
    Ok(before(siblings, file))
}

/// A generation, and the file that holds it.
struct Known {
    inode: Inode,
    modified: i64,
    since: i64,
}

impl Known {
    fn of(record: &StreamRecord, inode: Inode, modified: i64) -> Self {
        let since = since(record, inode, modified);
        Self { inode, modified, since }
    }
}

/// Of siblings, youngest first, those after a generation and before the file `but`, whatever its name.
fn after(around: Vec<Sibling>, known: &Known, but: Inode) -> Vec<Sibling> {
    let Known { inode, modified, since } = *known;
    let mut around = if but == inode { around } else { before(around, but) };
    if let Some(index) = around.iter().position(|sibling| sibling.stat.inode == inode) {
        let known = around.split_off(index).swap_remove(0);
        around.retain(|sibling| sibling.is_like(&known));
    } else {
        around.retain(|sibling| match (sibling.stat.inode.born, inode.born) {
            (Some(sibling), Some(born)) => sibling > born || is_ahead(born.into()),
            _ => sibling.stat.modified > modified || is_ahead(modified),
        });
    }
    around.retain(|sibling| sibling.stat.inode != but && changed_since(sibling, since));
    around
}

/// The same of a file that is listed or at the path.
fn before(mut siblings: Vec<Sibling>, file: Inode) -> Vec<Sibling> {
    if let Some(index) = siblings.iter().position(|sibling| sibling.stat.inode == file) {
        siblings.drain(..=index);
    }
    siblings
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::inspect::is_undecided;
    use crate::listings::Listings;
    use crate::siblings::{Rotated, siblings};

    /// Found by the torture test: the service was frozen between opening the file at the path and listing what is beside it,
    /// the file was rotated twice, and its successor read before it, as unseen or as a copy of its beginning.
    #[test]
    fn what_was_rotated_after_a_file_that_was_opened_does_not_come_before_it() {
        let dir = tempfile::tempdir().unwrap();
        let live = dir.path().join("app.log");
        for name in ["app.log.3", "app.log.2", "app.log.1", "app.log"] {
            fs::write(dir.path().join(name), name).unwrap();
        }
        let inode = |name: &str| Stat::from(&fs::metadata(dir.path().join(name)).unwrap()).inode;
        let older = |file: Inode| {
            let around = siblings(&live, &Rotated::default(), &Listings::default()).unwrap();
            let paths = older(around, file, &live)?.into_iter().map(|sibling| sibling.path);
            Ok(paths
                .map(|path| path.extension().unwrap().to_owned())
                .collect::<Vec<_>>())
        };
        let opened = inode("app.log");
        assert_eq!(older(opened).unwrap(), ["1", "2", "3"]);
        assert_eq!(older(inode("app.log.2")).unwrap(), ["3"]);
        fs::rename(&live, dir.path().join("compressed")).unwrap();
        let error: io::Error = older(opened).unwrap_err();
        assert!(is_undecided(&error), "{error}");
    }
}
