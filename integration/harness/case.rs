//! A test with a name, and the evidence it leaves when it fails.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};

use libtest_mimic::{Completion, Failed, Trial};

thread_local! {
    /// What the failing test of this thread says about itself. `None`: this thread runs no test.
    static EVIDENCE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

thread_local! {
    /// How the service of this thread's test learns of changes.
    static WATCHING: Cell<Watching> = const { Cell::new(Watching::Notified) };
}

/// How the service learns that files changed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Watching {
    /// As by default: the kernel tells.
    Notified,
    /// `watch = "poll"`.
    Polling,
    /// As by default, but the kernel has no watch left to give.
    Exhausted,
}

/// How the service of the test that this thread runs learns of changes.
pub fn watching() -> Watching {
    WATCHING.get()
}

/// The key of an entry that makes it so, with its line end, or nothing.
pub fn watch_key() -> &'static str {
    match watching() {
        Watching::Polling => "watch = \"poll\"\n",
        Watching::Notified | Watching::Exhausted => "",
    }
}

/// A test.
#[derive(Clone, Copy)]
pub struct Case {
    /// As `cargo test` prints it: module and function.
    pub name: &'static str,
    /// Panics when the promise is broken.
    pub run: fn(),
    /// What [`watching`] says in it.
    pub watching: Watching,
}

/// Lists the tests of a module; a function that is not listed is dead code, which the compiler reports.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The tests of this module.
        pub const CASES: &[$crate::harness::case::Case] = &[$(
            $crate::harness::case::Case {
                name: concat!(module_path!(), "::", stringify!($name)), run: $name,
                watching: $crate::harness::case::Watching::Notified,
            }
        ),*];
    };
}
pub(crate) use cases;

struct Skipped(String);

/// Ends the test as ignored, for a machine that lacks a program it needs.
pub fn skip(reason: &str) -> ! {
    panic::resume_unwind(Box::new(Skipped(reason.to_owned())))
}

/// Adds to what is printed if the test of this thread fails; called while it is unwinding.
pub fn evidence(title: &str, text: &str) {
    EVIDENCE.with_borrow_mut(|evidence| {
        if let Some(evidence) = evidence {
            evidence.push(format!("--- {title}\n{}", text.trim_end()));
        }
    });
}

/// Panics of tests become part of their evidence; all others are printed as ever.
pub fn collect_panics() {
    let default = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        let in_test = EVIDENCE.with_borrow(Option::is_some);
        if in_test {
            evidence("failed", &info.to_string());
        } else {
            default(info);
        }
    }));
}

impl Case {
    /// The same test under another [`Watching`], which is case R3 of the list.
    pub fn again(self, watching: Watching) -> Case {
        Case { watching, ..self }
    }

    /// What the test is called when it runs.
    pub fn title(&self) -> String {
        let name = self
            .name
            .trim_start_matches("integration::")
            .trim_start_matches("cases::");
        let function = name.rsplit("::").next().unwrap_or(name);
        match self.watching {
            Watching::Notified => name.to_owned(),
            Watching::Polling => format!("r3_polling::{function}"),
            Watching::Exhausted => format!("r3_without_watches::{function}"),
        }
    }

    /// The test as the runner takes it.
    pub fn trial(self) -> Trial {
        Trial::ignorable_test(self.title(), move || {
            EVIDENCE.set(Some(Vec::new()));
            WATCHING.set(self.watching);
            let outcome = panic::catch_unwind(AssertUnwindSafe(self.run));
            let evidence = EVIDENCE.take().unwrap_or_default();
            match outcome {
                Ok(()) => Ok(Completion::Completed),
                Err(payload) => match payload.downcast::<Skipped>() {
                    Ok(skipped) => Ok(Completion::ignored_with(skipped.0)),
                    Err(_) => Err(Failed::from(evidence.join("\n"))),
                },
            }
        })
    }
}
