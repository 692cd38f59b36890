//! The state directory alone, for commands that talk to a service whose settings may be invalid by now.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::build;
use crate::document::{self, Data, Node, Notation};
use crate::expand::{Environment, expand};
use crate::problem::{Refused, Spot};
use crate::sources::Sources;
use crate::texts::directory_of;

/// Takes only `state.directory` from a settings file, valid or not. Of its variables only those of this key are needed.
pub fn state_directory(path: &Path, env: &Environment<'_>) -> Result<PathBuf, Refused> {
    let unreadable = |source| Refused::Unreadable {
        path: path.to_owned(),
        source,
    };
    let directory = directory_of(path).map_err(unreadable)?;
    let bytes = fs::read(path).map_err(unreadable)?;
    let refuse = |problems| Refused::Invalid {
        path: path.to_owned(),
        problems,
        sources: Sources::default(),
    };

    let written = match (Notation::of(path), str::from_utf8(&bytes)) {
        (Some(Notation::Toml), Ok(text)) => document::partial_toml_text(text, "state", "directory"),
        (_, text) => match document::read(path, &bytes) {
            Ok(root) => {
                let state = root.as_table().and_then(|root| root.get("state"));
                state.and_then(directory_in).map(str::to_owned)
            }
            Err(problems) => match text.ok().and_then(after_key) {
                Some(written) => Some(written.to_owned()),
                None => return Err(refuse(problems)),
            },
        },
    };
    let given = match written {
        None => None,
        Some(written) => {
            let expanded = expand(&written, env, &directory, &mut BTreeSet::new()).map_err(|error| {
                let spot = Spot::file(path).key("state.directory", None);
                refuse(vec![spot.problem(error.to_string()).help(error.help())])
            })?;
            Some(expanded.text)
        }
    };
    Ok(build::state_directory(given.as_deref(), &directory, env).0)
}

/// The state directory of settings that name none.
pub fn default_state_directory(env: &Environment<'_>) -> PathBuf {
    build::state_directory(None, Path::new("/"), env).0
}

/// What follows the key in a text that should be YAML or JSON and is neither. No other key has its name.
fn after_key(text: &str) -> Option<&str> {
    const KEY: &str = "directory";
    text.match_indices(KEY).find_map(|(at, _)| {
        let rest = text[at + KEY.len()..].trim_start_matches(['"', '\'']).trim_start();
        let value = rest.strip_prefix(':')?.trim_start_matches([' ', '\t']);
        let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''));
        let value = match quote {
            Some(quote) => value[1..].split(quote).next()?,
            None => value.split([',', '}', '#', '\n']).next()?.trim_end(),
        };
        (!value.is_empty()).then_some(value)
    })
}

fn directory_in(state: &Node) -> Option<&str> {
    match &state.as_table()?.get("directory")?.data {
        Data::Text(text) => Some(text),
        _ => None,
    }
}
