//! Files that properties of librdkafka name: certificates and keys. They are read when a producer is made, so a change of
//! one is a change of the settings.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;

use crate::cause;
use crate::given::Text;
use crate::reader::Report;

/// Properties whose value is the path of a file, or of a directory of certificates.
const FILES: [&str; 6] = [
    "ssl.ca.location",
    "ssl.certificate.location",
    "ssl.key.location",
    "ssl.keystore.location",
    "ssl.crl.location",
    "https.ca.location",
];

/// Has librdkafka look where certificates usually are.
const PROBE: &str = "probe";

/// Makes the paths among `properties` absolute, relative ones being below `directory`, and has the files watched. Gives a
/// number that stands for what they hold.
pub(super) fn take(
    properties: &mut BTreeMap<String, String>,
    given: &BTreeMap<&str, &Text>,
    directory: &Path,
    report: &mut Report,
) -> u64 {
    let mut contents = DefaultHasher::new();
    for name in FILES {
        let (Some(value), Some(text)) = (properties.get_mut(name), given.get(name)) else {
            continue;
        };
        if value == PROBE && name.contains(".ca.") {
            continue;
        }
        let path = directory.join(&*value);
        report.secrets.insert(path.clone());
        match hash(&path) {
            Ok(hash) => (name, hash).hash(&mut contents),
            Err(error) => {
                let shown = if text.is_hidden() {
                    text.shown()
                } else {
                    format!("`{}`", path.display())
                };
                let problem = text.spot.problem(format!(
                    "names a file that cannot be read: {shown}: {}",
                    cause::chain(&error)
                ));
                report.problems.push(problem.help(cause::named_file_help(error.kind())));
            }
        }
        *value = path.display().to_string();
    }
    contents.finish()
}

/// Of a file what it holds, of a directory which files are there and when they changed.
fn hash(path: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?
            .map(|entry| entry.and_then(|entry| Ok((entry.file_name(), fs::metadata(entry.path())?.modified()?))))
            .collect::<io::Result<Vec<_>>>()?;
        entries.sort_unstable();
        entries.hash(&mut hasher);
    } else {
        fs::read(path)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use crate::load;

    #[test]
    fn a_certificate_file_is_found_beside_the_settings_watched_and_part_of_what_they_say() {
        let dir = tempfile::tempdir().unwrap();
        let (path, ca) = (
            dir.path().join("f.toml"),
            dir.path().canonicalize().unwrap().join("ca.pem"),
        );
        let text = "[kafka]\nbrokers = \"a:1\"\ntopic = \"t\"\n[kafka.properties]\n\"ssl.ca.location\" = \"ca.pem\"\n\
                    [[logs]]\npath = \"/l\"\n";
        std::fs::write(&path, text).unwrap();
        let refused = load(&path, &|_| None).unwrap_err();
        let problem = refused.problems()[0].to_string();
        assert!(
            problem.contains(":5: `kafka.properties.ssl.ca.location` names a file that cannot be read"),
            "{problem}"
        );

        std::fs::write(&ca, "one").unwrap();
        let one = load(&path, &|_| None).unwrap();
        assert_eq!(
            one.settings.kafka.properties["ssl.ca.location"],
            ca.display().to_string()
        );
        assert!(one.sources.concerns(&ca));
        assert_eq!(one.settings, load(&path, &|_| None).unwrap().settings);
        std::fs::write(&ca, "two").unwrap();
        let two = load(&path, &|_| None).unwrap();
        assert_ne!(one.settings, two.settings);
        assert!(crate::diff(&one.settings, &two.settings).kafka);

        std::fs::write(&path, text.replace("ca.pem", "probe")).unwrap();
        assert_eq!(
            load(&path, &|_| None).unwrap().settings.kafka.properties["ssl.ca.location"],
            "probe"
        );
    }
}
