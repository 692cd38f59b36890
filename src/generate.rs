//! What is made of the command line and of the schema, for shells, `man`, editors and readers. A copy of each is in `deploy/` and
//! `docs/`, where packages take it from; a test holds them to what is made now.

use std::io;
use std::path::PathBuf;

use clap::CommandFactory as _;
use thiserror::Error;

use crate::cli::{self, Cli, CompletionsArgs, ManArgs};
use crate::error::Failure;

#[derive(Debug, Error)]
#[error("cannot write manual pages to `{}`", directory.display())]
struct CannotWrite {
    directory: PathBuf,
    source: io::Error,
}

pub fn print_completions(args: &CompletionsArgs) -> Result<(), Failure> {
    cli::print(&completions(args.shell))
}

pub fn write_man_pages(args: &ManArgs) -> Result<(), Failure> {
    clap_mangen::generate_to(Cli::command(), &args.directory).map_err(|source| {
        let directory = args.directory.clone();
        Failure::new(CannotWrite { directory, source }).help("name a directory that exists and that you may write to")
    })
}

fn completions(shell: clap_complete::Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "logcatch", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;
    use std::process::Command;

    use clap_complete::Shell;
    use logcatch_settings::schema;

    use super::*;

    /// With any value, the copies are made anew.
    const RENEW: &str = "LOGCATCH_RENEW";

    fn man_pages() -> BTreeMap<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let directory = dir.path().to_owned();
        write_man_pages(&ManArgs { directory }).unwrap();
        let pages = fs::read_dir(dir.path()).unwrap().map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        });
        pages.collect()
    }

    /// Every file that is kept, by its path in the repository.
    fn made() -> BTreeMap<String, String> {
        let schema = serde_json::to_string_pretty(&schema::json_schema()).unwrap() + "\n";
        let mut files: BTreeMap<String, String> = [
            ("docs/settings.md", schema::reference()),
            ("docs/logcatch.schema.json", schema),
            ("deploy/completions/logcatch.bash", completions(Shell::Bash)),
            ("deploy/completions/_logcatch", completions(Shell::Zsh)),
            ("deploy/completions/logcatch.fish", completions(Shell::Fish)),
        ]
        .map(|(path, text)| (path.to_owned(), text))
        .into();
        files.extend(
            man_pages()
                .into_iter()
                .map(|(name, text)| (format!("deploy/man/{name}"), text)),
        );
        files
    }

    #[test]
    fn what_is_kept_of_what_is_made_is_not_stale() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = made();
        if std::env::var_os(RENEW).is_some() {
            for directory in ["deploy/completions", "deploy/man"] {
                let _ = fs::remove_dir_all(root.join(directory));
                fs::create_dir_all(root.join(directory)).unwrap();
            }
            for (path, text) in &files {
                fs::write(root.join(path), text).unwrap();
            }
        }
        let is_stale = |path: &str, text: &str| fs::read_to_string(root.join(path)).ok().as_deref() != Some(text);
        let mut wrong: Vec<String> = files
            .iter()
            .filter(|(path, text)| is_stale(path, text))
            .map(|(path, _)| path.clone())
            .collect();
        for directory in ["deploy/completions", "deploy/man"] {
            for entry in fs::read_dir(root.join(directory)).into_iter().flatten() {
                let path = format!("{directory}/{}", entry.unwrap().file_name().display());
                wrong.extend((!files.contains_key(&path)).then_some(path));
            }
        }
        assert!(
            wrong.is_empty(),
            "stale; renew them by `{RENEW}=1 cargo test --bin logcatch generate`: {wrong:#?}"
        );
    }

    /// Every command that is shown, with its name as its page has it.
    fn commands() -> Vec<(String, clap::Command)> {
        fn walk(command: &clap::Command, name: &str, found: &mut Vec<(String, clap::Command)>) {
            found.push((name.to_owned(), command.clone()));
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                walk(below, &format!("{name}-{}", below.get_name()), found);
            }
        }
        let mut root = Cli::command();
        root.build();
        let mut found = Vec::new();
        walk(&root, "logcatch", &mut found);
        found
    }

    #[test]
    fn pages_and_completions_name_every_command_and_flag() {
        let pages = man_pages();
        let shells = [Shell::Bash, Shell::Zsh, Shell::Fish].map(completions);
        let commands = commands();
        assert!(
            commands.iter().any(|(name, _)| name == "logcatch-positions-set"),
            "{commands:?}"
        );
        for (name, command) in &commands {
            let page = &pages[&format!("{name}.1")].replace('\\', "");
            for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
                assert!(
                    page.contains(&format!("{name}-{}(1)", below.get_name())),
                    "{name}: {page}"
                );
            }
            for flag in command.get_arguments().filter(|flag| !flag.is_hide_set()) {
                let Some(long) = flag.get_long() else { continue };
                assert!(page.contains(&format!("--{long}")), "{name} --{long}: {page}");
                for shell in &shells {
                    assert!(shell.contains(long), "{name} --{long}: {shell}");
                }
            }
            for shell in &shells {
                assert!(shell.contains(command.get_name()), "{name}: {shell}");
            }
        }
        assert_eq!(pages.len(), commands.len());
    }

    #[test]
    fn bash_completes_commands_and_flags() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("completions");
        fs::write(&file, completions(Shell::Bash)).unwrap();
        let completed = |words: &str, last: usize| {
            let script = format!(
                ". {}; COMP_WORDS=({words}); COMP_CWORD={last}; _logcatch logcatch \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{last} - 1]}}\"; \
                 echo \"${{COMPREPLY[*]}}\"",
                file.display()
            );
            let output = Command::new("bash").args(["-c", &script]).output().unwrap();
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(completed("logcatch dead", 1), "dead-letters\n");
        assert_eq!(completed("logcatch positions s", 2), "set\n");
        assert_eq!(completed("logcatch status --w", 2), "--watch\n");
    }

    #[test]
    fn shells_accept_their_completions() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("completions");
        for (name, shell) in [("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)] {
            fs::write(&file, completions(shell)).unwrap();
            match Command::new(name).arg("-n").arg(&file).output() {
                Ok(output) => assert!(
                    output.status.success() && output.stderr.is_empty(),
                    "{name}: {output:?}"
                ),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => panic!("{name}: {error}"),
            }
        }
    }
}
