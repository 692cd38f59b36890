//! The traces that programs leave when they fail, as their runtimes write them.
//!
//! In all languages a line that begins with blanks belongs to the one before, and a trace does not belong to the line
//! before it: that may be anything.

use std::sync::LazyLock;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

/// Whose traces are joined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `Throwable.printStackTrace`, and as Logback and Log4j write it.
    Java,
    /// `traceback`, with causes and contexts.
    Python,
    /// Panics and fatal errors, with all goroutines.
    Go,
}

/// Where in a trace a group stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// In no trace that ends otherwise than by its indentation.
    #[default]
    Plain,
    /// Behind what happened: before the frames in Go, behind them in Python.
    Head,
    /// Among frames.
    Frames,
    /// Behind an empty line, which another trace may follow.
    Gap,
    /// Behind the words that announce another trace.
    Announced,
}

/// `main.(*Server).run(0xc000012120, {0x4b2f40, 0x4d8e28})`, or `panic({0x4ae580?, 0x57e2a0?})`
static CALL: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^(?:panic|[\w~%-][\w./~%-]*\.\S*)\(.*\)$").ok());
/// `rax    0x0`, as fatal errors show what was in the processor.
static REGISTER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"^[a-z][a-z0-9]{1,5}\s+0x[0-9a-f]+$").ok());

fn is_match(regex: &LazyLock<Option<Regex>>, line: &[u8]) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(line))
}

fn is_blank(line: &[u8]) -> bool {
    line.trim_ascii().is_empty()
}

fn is_indented(line: &[u8]) -> bool {
    matches!(line.first(), Some(b' ' | b'\t')) && !is_blank(line)
}

fn begins(line: &[u8], with: &[&str]) -> bool {
    with.iter().any(|one| line.starts_with(one.as_bytes()))
}

const PYTHON_TRACE: &[&str] = &["Traceback (most recent call last)"];
const PYTHON_LINKS: &[&str] = &[
    "During handling of the above exception",
    "The above exception was the direct cause",
];
const JAVA_LINKS: &[&str] = &["Caused by: ", "Suppressed: ", "Wrapped by: "];
const GO_FAILURES: &[&str] = &["panic: ", "fatal error: ", "unexpected fault address", "SIG"];
const GO_STACKS: &[&str] = &["goroutine ", "runtime stack:"];

impl Language {
    pub(super) fn first(self, line: &[u8]) -> Place {
        match self {
            Self::Python if begins(line, PYTHON_TRACE) || is_python_frame(line) => Place::Frames,
            Self::Go if begins(line, GO_FAILURES) => Place::Head,
            Self::Go if begins(line, GO_STACKS) => Place::Frames,
            _ => Place::Plain,
        }
    }

    pub(super) fn next(self, place: Place, line: &[u8]) -> Option<Place> {
        match self {
            Self::Java => (is_indented(line) || begins(line, JAVA_LINKS)).then_some(place),
            Self::Python => python(place, line),
            Self::Go => go(place, line),
        }
    }
}

/// Of a syntax error this is the first line.
fn is_python_frame(line: &[u8]) -> bool {
    is_indented(line) && line.trim_ascii_start().starts_with(b"File \"")
}

fn python(place: Place, line: &[u8]) -> Option<Place> {
    if is_python_frame(line) {
        return Some(Place::Frames);
    }
    if is_indented(line) {
        return Some(place);
    }
    match (place, is_blank(line)) {
        // What happened stands behind the frames, and not indented.
        (Place::Frames, false) => Some(Place::Head),
        (Place::Head, true) => Some(Place::Gap),
        (Place::Gap, false) => begins(line, PYTHON_LINKS).then_some(Place::Announced),
        (Place::Announced, true) => Some(Place::Announced),
        (Place::Announced, false) => begins(line, PYTHON_TRACE).then_some(Place::Frames),
        _ => None,
    }
}

fn go(place: Place, line: &[u8]) -> Option<Place> {
    if is_indented(line) {
        return Some(place);
    }
    // With a server's line about a panic, too.
    if begins(line, GO_STACKS) {
        return Some(Place::Frames);
    }
    match place {
        Place::Head | Place::Frames if is_blank(line) => Some(Place::Gap),
        Place::Head => begins(line, &["[signal ", "[recovered", "PC="]).then_some(place),
        Place::Frames => {
            let is_frame = is_match(&CALL, line) || begins(line, &["created by ", "...", "exit status "]);
            (is_frame || is_match(&REGISTER, line)).then_some(place)
        }
        Place::Gap => {
            let follows = begins(line, &["exit status ", "[signal "]) || is_match(&REGISTER, line);
            follows.then_some(Place::Frames)
        }
        Place::Plain | Place::Announced => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Rule;
    use super::*;

    /// Each text is one group, in the order given; what begins one is found by the lines alone.
    #[track_caller]
    fn check(language: Language, groups: &[&str]) {
        let rule = Rule::Trace(language);
        let mut found: Vec<String> = Vec::new();
        let mut place = None;
        for line in groups.iter().flat_map(|group| group.lines()) {
            let joined = place.and_then(|place| rule.next(place, line.as_bytes()));
            match (joined, found.last_mut()) {
                (Some(_), Some(group)) => *group = format!("{group}\n{line}"),
                _ => found.push(line.to_owned()),
            }
            place = joined.or(Some(rule.first(line.as_bytes())));
        }
        assert_eq!(found, groups);
    }

    #[test]
    fn a_trace_with_causes_is_one_group_in_java() {
        check(
            Language::Java,
            &[
                "12:00 INFO ready",
                "Exception in thread \"main\" java.lang.IllegalStateException: outer\n\tat A.main(A.java:5)\n\
                 \tSuppressed: java.io.IOException: x\n\t\tat A.close(A.java:9)\nCaused by: java.lang.RuntimeException: \
                 inner\n\tat A.b(A.java:7)\n\t... 1 more",
                "java.lang.Error: two",
                "java.lang.Error: three\n    at B.c(B.java:1)",
                "Causes are many",
            ],
        );
    }

    #[test]
    fn a_traceback_with_what_it_came_from_is_one_group_in_python() {
        let chained = "Traceback (most recent call last):\n  File \"a.py\", line 2, in f\n    {}[1]\n    ~~^^^\nKeyError: 1\n\n\
                       During handling of the above exception, another exception occurred:\n\n\
                       Traceback (most recent call last):\n  File \"a.py\", line 9, in <module>\n    f()\nmine.Odd: more\n  \
                       of it";
        let syntax = "  File \"b.py\", line 1\n    f(\n     ^\nSyntaxError: '(' was never closed";
        check(Language::Python, &["INFO ready", chained, "INFO on", "WARN off"]);
        check(Language::Python, &[syntax, "INFO on"]);
        // Two that have nothing to do with each other.
        let alone = "Traceback (most recent call last):\n  File \"a.py\", line 2, in f\n    g()\nmine.Odd";
        check(Language::Python, &[alone, alone, "INFO", alone]);
    }

    /// What `integration/traces/traces.go` left, for where no Go is installed.
    #[test]
    fn a_recorded_panic_is_one_group_in_go() {
        let text = include_str!("../../../integration/traces/go.txt");
        let (first, rest) = text.split_once('\n').unwrap();
        let (second, panic) = rest.split_once('\n').unwrap();
        check(Language::Go, &[first, second, panic.trim_end()]);
    }

    #[test]
    fn a_panic_with_all_goroutines_is_one_group_in_go() {
        let signal = "panic: runtime error: invalid memory address or nil pointer dereference [recovered]\n\tpanic: again\n\
                      [signal SIGSEGV: segmentation violation code=0x1 addr=0x0 pc=0x47b0a4]\n\ngoroutine 1 [running]:\n\
                      main.(*Server).run(0x0, {0x4b2f40, 0x4d8e28})\n\t/src/a.go:8 +0x1d\nmain.main()\n\t/src/a.go:12 +0x1d\n\
                      created by net/http.(*Server).Serve in goroutine 1\n\t/go/src/net/http/server.go:3285 +0x4b4\n\n\
                      goroutine 18 [select]:\nexample.com/x/y-z.Map[...](...)\n\t/src/b.go:1\nexit status 2";
        check(Language::Go, &["2024/01/01 ready", signal, "2024/01/01 served (all)"]);
        let served = "http: panic serving 127.0.0.1:5: boom\ngoroutine 6 [running]:\nnet/http.(*conn).serve.func1()\n\
                      \t/go/src/net/http/server.go:1 +0xb";
        check(Language::Go, &[served, "2024/01/01 on"]);
        let deadlock = "fatal error: all goroutines are asleep - deadlock!\n\ngoroutine 1 [chan receive]:\nmain.main()\n\
                        \t/src/a.go:5 +0x1";
        check(Language::Go, &[deadlock, deadlock]);
    }
}
