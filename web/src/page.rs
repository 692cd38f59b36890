//! The page: rendered here as a whole, so that it works without scripts, and section by section for its stream. Everything
//! that comes from outside is escaped by the templates.

mod assets;
mod charts;
mod files;
mod parts;
mod settings;

use std::time::SystemTime;

use logcatch_actors::{Event, verdict};
use maud::{DOCTYPE, Markup, html};

pub use assets::ASSETS;

use crate::history::Sample;
use crate::query::Filter;
use crate::service::Snapshot;

/// What a page is made from.
pub struct View<'a> {
    snapshot: &'a Snapshot,
    history: &'a [Sample],
    events: &'a [Event],
    filter: &'a Filter,
    /// Seconds since the epoch.
    now: u64,
}

impl<'a> View<'a> {
    /// The service as it stands, what was, what happened, and which files to show.
    pub fn new(snapshot: &'a Snapshot, history: &'a [Sample], events: &'a [Event], filter: &'a Filter) -> Self {
        Self {
            snapshot,
            history,
            events,
            filter,
            now: SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs(),
        }
    }
}

/// The page as a whole.
pub fn whole(view: &View<'_>) -> String {
    let report = &view.snapshot.report;
    let title = format!("{} · logcatch on {}", verdict::sentence(report), report.host);
    let [verdict, facts, charts, needs, account, rows, happened, settings] = all(view);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="icon" type="image/svg+xml" href="assets/icon.svg";
                link rel="stylesheet" href="assets/page.css";
                script src="assets/page.js" defer {}
            }
            body {
                a.skip href="#files" { "to the files" }
                header {
                    h1 { "logcatch " span.host { "on " (report.host) } }
                    p.quiet { "version " (report.version) }
                    p #link .quiet role="status" hidden { }
                }
                main {
                    (verdict.1)
                    (facts.1)
                    (needs.1)
                    (charts.1)
                    (files::form(view))
                    (rows.1)
                    (account.1)
                    (happened.1)
                    (settings.1)
                }
                footer.quiet {
                    "For programs: " a href="api/v1/status" { "status" } ", "
                    a href="api/v1/files" { "files" } ", "
                    a href="api/v1/history" { "history" } ", "
                    a href="metrics" { "metrics" }
                }
            }
        }
    };
    page.into_string()
}

/// The sections that change, by their ids.
pub fn sections(view: &View<'_>) -> Vec<(&'static str, String)> {
    let sections = all(view).into_iter();
    sections.map(|(id, markup)| (id, markup.into_string())).collect()
}

fn all(view: &View<'_>) -> [(&'static str, Markup); 8] {
    [
        ("verdict", parts::verdict(view)),
        ("facts", parts::facts(view)),
        ("charts", charts::charts(view.history)),
        ("needs", parts::needs(view)),
        ("account", parts::account(view)),
        ("files", files::table(view)),
        ("events", parts::events(view)),
        ("settings", settings::settings(view)),
    ]
}

#[cfg(test)]
mod tests {
    use logcatch_actors::{EventKind, Events, State};

    use super::*;
    use crate::query::tests::file;

    /// A file name as somebody hostile would make one.
    const HOSTILE: &str = "/log/<script>alert(1)</script>\"'&amp;\u{202e}.log";

    fn snapshot() -> Snapshot {
        let mut snapshot = Snapshot::default();
        snapshot.report.host = HOSTILE.to_owned();
        snapshot.report.files = vec![
            file(HOSTILE, HOSTILE, State::Blocked, 70.0),
            file("app", "/log/app.log", State::Idle, 0.0),
        ];
        snapshot.report.files[0].detail = Some(HOSTILE.to_owned());
        snapshot.report.settings.unmatched = vec![HOSTILE.to_owned()];
        snapshot.report.settings.refused = Some(logcatch_actors::Refusal {
            at: 1,
            text: HOSTILE.to_owned(),
        });
        snapshot.report.kafka.trouble = Some(HOSTILE.to_owned());
        snapshot.report.kafka.up = Some(false);
        snapshot.entries = vec![crate::service::EntryFigures {
            log: HOSTILE.to_owned(),
            ..Default::default()
        }];
        snapshot
    }

    #[test]
    fn nothing_from_outside_becomes_part_of_the_page() {
        let events = Events::default();
        events.say_of(EventKind::Rotated, (HOSTILE, HOSTILE.to_owned()), HOSTILE);
        let filter = Filter {
            text: HOSTILE.to_owned(),
            log: HOSTILE.to_owned(),
            ..Filter::default()
        };
        let (snapshot, happened) = (snapshot(), events.after(0));
        let page = whole(&View::new(&snapshot, &[], &happened, &filter));
        assert!(!page.contains("<script>"), "{page}");
        assert!(page.contains("&lt;script&gt;"), "{page}");
        assert_eq!(page.matches("<script").count(), 1, "its own");
        let tag = |text: &str| page.matches(text).count();
        assert!(
            !page.contains("style=") && !page.contains("onclick") && !page.contains("javascript:"),
            "{page}"
        );
        assert_eq!(tag("<html"), 1);
    }

    #[test]
    fn every_section_is_in_the_page_as_it_is_in_the_stream() {
        let (snapshot, filter) = (snapshot(), Filter::default());
        let view = View::new(&snapshot, &[], &[], &filter);
        let page = whole(&view);
        for (id, section) in sections(&view) {
            assert!(section.starts_with(&format!("<section id=\"{id}\"")), "{section}");
            assert!(page.contains(&section), "{id}");
        }
    }
}
