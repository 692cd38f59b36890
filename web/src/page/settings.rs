//! The settings in force, secrets hidden.

use maud::{Markup, html};

use super::View;

pub fn settings(view: &View<'_>) -> Markup {
    let sections = view.snapshot.effective.iter();
    html! {
        section #settings aria-labelledby="settings-title" {
            h2 #settings-title { "Settings in force" }
            details {
                summary { "every value, and where it comes from; secrets as ***" }
                table {
                    thead { tr { th scope="col" { "Key" } th scope="col" { "Value" } th scope="col" { "From" } } }
                    tbody {
                        @for section in sections {
                            @for row in &section.rows {
                                tr {
                                    td data-label="Key" {
                                        @if !section.name.is_empty() { (section.name) "." }
                                        (row.key)
                                    }
                                    td data-label="Value" { code { (row.value.to_string()) } }
                                    td.quiet data-label="From" { (row.origin.to_string()) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
