//! What PATH or NAME means: watchers, by the name of their entry or by their path.

use std::path::Path;

use logcatch_actors::Key;

use super::protocol::{Named, Refused};

/// How alike a name must be to be worth naming; from 0 to 1.
const ALIKE: f64 = 0.6;
/// What a path counts whose last part is, or holds, that of the one typed: such a file elsewhere is likely meant.
const SAME_FILE: f64 = 0.9;
/// What tells names.
const LISTS: &str = "`logcatch status` lists what is watched, and which entries match no file";
/// How many of them are named.
const NAMED: usize = 3;

/// Those of `keys` that `of` names: all of an entry, or all of a path.
pub fn pick(keys: &[Key], of: &Named, verb: &str) -> Result<Vec<Key>, Refused> {
    let names = |(log, path): &&Key| of.is_entry(log) || of.is_path(path);
    let found: Vec<Key> = keys.iter().filter(names).cloned().collect();
    if found.is_empty() {
        Err(unknown(keys, of, verb))
    } else {
        Ok(found)
    }
}

fn unknown(keys: &[Key], of: &Named, verb: &str) -> Refused {
    let refused = Refused::new(format!(
        "cannot {verb} `{}`: no watched file is called so, nor belongs to an entry of that name",
        of.typed
    ));
    if keys.is_empty() {
        return refused.help("nothing is watched; `logcatch check` says what the settings match");
    }
    let paths = keys.iter().map(|(_, path)| path.display().to_string());
    let mut known: Vec<String> = keys.iter().map(|(log, _)| log.to_string()).chain(paths).collect();
    known.sort_unstable();
    known.dedup();
    let mut alike: Vec<(f64, String)> = known
        .into_iter()
        .map(|name| (likeness(&of.typed, &name).max(likeness(&of.path, &name)), name))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    let alike: Vec<String> = alike
        .into_iter()
        .take(NAMED)
        .map(|(_, name)| format!("`{name}`"))
        .collect();
    if alike.is_empty() {
        refused.help(LISTS)
    } else {
        refused.help(format!("did you mean {}?", alike.join(" or ")))
    }
}

/// Of whole names; those of two paths are no more alike than their last parts, because directories are often shared.
fn likeness(typed: &str, known: &str) -> f64 {
    let file = |text| Path::new(text).file_name().and_then(|name| name.to_str());
    let whole = strsim::jaro_winkler(typed, known);
    match (file(typed), file(known)) {
        (Some(typed), Some(known)) if known.contains(typed) || typed.contains(known) => whole.max(SAME_FILE),
        (Some(typed), Some(known)) => whole.min(strsim::jaro_winkler(typed, known).max(ALIKE)),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<Key> {
        let key = |log: &str, path: &str| (log.into(), Path::new(path).into());
        vec![
            key("nginx", "/var/log/nginx/access.log"),
            key("nginx", "/var/log/nginx/error.log"),
            key("app", "/srv/app/worker.log"),
        ]
    }

    #[test]
    fn a_name_is_all_of_its_entry_and_a_path_is_one() {
        assert_eq!(pick(&keys(), &Named::new("nginx"), "restart").unwrap().len(), 2);
        assert_eq!(
            pick(&keys(), &Named::new("/srv/app/worker.log"), "restart").unwrap(),
            keys()[2..]
        );
    }

    #[test]
    fn the_nearest_known_ones_are_named_first() {
        let help = |of| pick(&keys(), &Named::new(of), "restart").unwrap_err().help.unwrap();
        assert!(help("ngnix").starts_with("did you mean `nginx`"), "{}", help("ngnix"));
        for of in ["/var/log/nginx/acces.log", "/tmp/access.log"] {
            let first = "did you mean `/var/log/nginx/access.log`";
            assert!(help(of).starts_with(first), "{}", help(of));
        }
        assert_eq!(help("zzz"), LISTS);
        // As an entry that matches no file would be: it may well be in the settings.
        assert_eq!(
            pick(&keys(), &Named::new("zzz"), "restart").unwrap_err().error,
            "cannot restart `zzz`: no watched file is called so, nor belongs to an entry of that name"
        );
    }
}
