//! A test with a name, and the evidence it leaves when it fails.

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

use libtest_mimic::{Completion, Failed, Trial};

thread_local! {
    /// What the failing test of this thread says about itself. `None`: this thread runs no test.
    static EVIDENCE: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// A test.
#[derive(Clone, Copy)]
pub struct Case {
    /// As `cargo test` prints it: module and function.
    pub name: &'static str,
    /// Panics when the promise is broken.
    pub run: fn(),
}

/// Lists the tests of a module; a function that is not listed is dead code, which the compiler reports.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        /// The tests of this module.
        pub const CASES: &[$crate::harness::case::Case] = &[$(
            $crate::harness::case::Case { name: concat!(module_path!(), "::", stringify!($name)), run: $name }
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
    /// The test as the runner takes it.
    pub fn trial(self) -> Trial {
        let name = self
            .name
            .trim_start_matches("integration::")
            .trim_start_matches("cases::");
        Trial::ignorable_test(name, move || {
            EVIDENCE.set(Some(Vec::new()));
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
