//! Who hears what becomes of the settings.

use logcatch_settings::{Settings, Texts};

/// Told by the ConfigActor, on its thread: what is not the actors' business, such as the level of the log, or the service
/// manager. None of it may block.
pub trait Herald: 'static {
    /// The files are read again.
    fn reading(&self);

    /// What the files say is in force now, or was already.
    fn in_force(&self, settings: &Settings, texts: &Texts);

    /// The files were refused, and what was in force before stays so.
    fn refused(&self);
}
