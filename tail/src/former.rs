//! Files that a path led to, as a link, when they were read: while the service was down it may have been led to one with a
//! name that says nothing of the other, as by glog, or by containerd when a container starts anew.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::file::is_exhausted;
use crate::identity::Stat;
use crate::inspect::is_undecided;
use crate::siblings::{Rotated, Sibling, siblings};
use crate::stream::Stream;
use crate::watcher::Watcher;

impl Watcher {
    /// Where the path leads, if it is a link.
    pub(crate) fn target(&self) -> Option<Arc<String>> {
        let path = &self.spec.path;
        let is_link = fs::symlink_metadata(path).is_ok_and(|meta| meta.is_symlink());
        let target = is_link.then(|| fs::canonicalize(path).ok()).flatten()?;
        Some(Arc::new(target.into_os_string().into_string().ok()?))
    }

    /// Adds to siblings, youngest first, what the path led to before, and what was rotated there: all older.
    ///
    /// # Errors
    /// When it is not known yet, or no handle is left. What cannot be looked at is as good as nowhere, as ever.
    pub(crate) fn add_former(&self, streams: &[Arc<Stream>], around: &mut Vec<Sibling>) -> io::Result<()> {
        let targets = streams.iter().rev().filter_map(|stream| stream.record().target);
        let mut targets: Vec<_> = targets.collect();
        targets.dedup();
        if targets.is_empty() {
            return Ok(());
        }
        let now = self.target();
        targets.retain(|target| now.as_ref() != Some(target));
        let rotated = Rotated {
            beside: self.spec.rotated().beside,
            globs: Vec::new(),
        };
        for target in &targets {
            let path = Path::new(target.as_str());
            let Some(name) = path.file_name() else { continue };
            let itself = fs::metadata(path).ok().filter(fs::Metadata::is_file);
            let itself = itself.map(|meta| Sibling::new(name, path.to_owned(), Stat::from(&meta)));
            let beside = match siblings(path, &rotated, &self.world.listings) {
                Err(error) if is_undecided(&error) || is_exhausted(&error) => return Err(error),
                beside => beside.unwrap_or_default(),
            };
            for former in itself.into_iter().chain(beside) {
                if around.iter().all(|known| known.stat.inode != former.stat.inode) {
                    around.push(former);
                }
            }
        }
        Ok(())
    }
}
