//! What records are made of lines.

use super::{KAFKA, LOGS, in_logs, settings};
use crate::{Change, diff};

#[test]
fn encodings_have_the_labels_of_the_standard_and_the_nearest_is_suggested() {
    let name = |label: &str| {
        let settings = settings(&format!("{KAFKA}{LOGS}encoding = \"{label}\"\n"));
        settings.logs[0].charset.name()
    };
    assert_eq!(name("UTF-8"), "UTF-8");
    assert_eq!(name("latin1"), "windows-1252");
    assert_eq!(name("utf-16"), "UTF-16LE");
    assert_eq!(name("gb2312"), "GBK");
    let cases = [
        ("utf8x", "utf-8"),
        ("shift-jiss", "shift_jis"),
        ("windows-1522", "windows-1252"),
        ("utf16-le", "utf-16le"),
        ("GB-2312", "gb2312"),
    ];
    for (label, nearest) in cases {
        assert_eq!(
            in_logs(&format!("encoding = \"{label}\"")),
            format!(
                "f.toml:6: `logs[0].encoding` must be an encoding by its WHATWG label, not \"{label}\" | did you mean \
                 \"{nearest}\"?"
            )
        );
    }
    assert_eq!(
        in_logs("encoding = \"${SECRET}\""),
        "f.toml:6: `logs[0].encoding` must be an encoding by its WHATWG label, not *** | see \
         https://encoding.spec.whatwg.org/#names-and-labels"
    );
}

#[test]
fn another_encoding_is_a_change_of_how_files_are_read() {
    let with = |label: &str| settings(&format!("{KAFKA}{LOGS}encoding = \"{label}\"\n"));
    assert!(
        diff(&with("utf8"), &with("utf-8")).is_empty(),
        "two labels of one encoding"
    );
    let diff = diff(&with("gbk"), &with("big5"));
    assert_eq!(diff.changed[0].what, [Change::Other]);
}
