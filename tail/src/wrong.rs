//! Deliberately wrong behaviours, one of which a developer's build shows when `LOGCATCH_WRONG` names it. The torture test must
//! find each, or it finds nothing. In a release build there is none.

/// What can be done wrongly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// A position moves when a batch is handed over, not when Kafka has acknowledged it.
    PositionBeforeAcknowledgement,
    /// Device and inode decide what is the same file, not its content.
    IdentityByInode,
    /// A line without its end is passed over.
    PartialLineDropped,
    /// A changed setting makes a file start anew.
    DuplicateAfterReload,
    /// What was born and rotated between two looks is not read.
    UnseenGenerationSkipped,
    /// The bytes before a position are taken for the ones that were there.
    GuardNotChecked,
    /// A renamed file is not read to its end.
    OldGenerationClosedAtRename,
    /// A renamed file is read after its successor.
    SuccessorReadFirst,
}

/// Whether to do this wrongly.
#[cfg(debug_assertions)]
pub(crate) fn does(wrong: Wrong) -> bool {
    static CHOSEN: std::sync::LazyLock<Option<Wrong>> = std::sync::LazyLock::new(|| {
        let name = std::env::var("LOGCATCH_WRONG").ok()?;
        log::warn!(name; "this build does something wrongly because it is told to");
        Wrong::named(&name)
    });
    *CHOSEN == Some(wrong)
}

/// Never.
#[cfg(not(debug_assertions))]
pub(crate) const fn does(_: Wrong) -> bool {
    false
}

#[cfg(debug_assertions)]
impl Wrong {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "position-before-acknowledgement" => Self::PositionBeforeAcknowledgement,
            "identity-by-inode" => Self::IdentityByInode,
            "partial-line-dropped" => Self::PartialLineDropped,
            "duplicate-after-reload" => Self::DuplicateAfterReload,
            "unseen-generation-skipped" => Self::UnseenGenerationSkipped,
            "guard-not-checked" => Self::GuardNotChecked,
            "old-generation-closed-at-rename" => Self::OldGenerationClosedAtRename,
            "successor-read-first" => Self::SuccessorReadFirst,
            _ => return None,
        })
    }
}
