//! What records are made of the lines of an entry.

use logcatch_tail::Charset;

use crate::given::Table;
use crate::reader::Report;

/// How alike two labels must be for one to be meant by the other; 1 is the same.
const ALIKE: f64 = 0.5;

pub(super) fn charset(table: &Table, report: &mut Report) -> Charset {
    let Some(text) = table.text("encoding") else {
        return Charset::default();
    };
    Charset::of_label(&text.value).unwrap_or_else(|| {
        let problem = text
            .spot
            .problem(format!("must be an encoding by its WHATWG label, not {}", text.shown()));
        let nearest = nearest(&text.value).filter(|_| !text.is_hidden());
        report.problems.push(match nearest {
            Some(label) => problem.help(format!("did you mean \"{label}\"?")),
            None => problem.help("see https://encoding.spec.whatwg.org/#names-and-labels"),
        });
        Charset::default()
    })
}

fn nearest(label: &str) -> Option<&'static str> {
    let label = label.trim().to_lowercase().replace('_', "-");
    let likeness = |known: &str| strsim::normalized_damerau_levenshtein(&label, &known.replace('_', "-"));
    Charset::known_labels()
        .map(|known| (likeness(known), known))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        // The first of equals: the better known.
        .reduce(|best, other| if other.0 > best.0 { other } else { best })
        .map(|(_, known)| known)
}
