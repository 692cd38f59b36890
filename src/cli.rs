//! The command line.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::control::args::{OrderArgs, PositionsArgs, ServiceArgs, StatusArgs};
use crate::demo::DemoArgs;
use crate::error::Failure;

/// Names the settings file when `--config` does not.
const CONFIG_VARIABLE: &str = "LOGCATCH_CONFIG";
const DEFAULT_CONFIG: &str = "/etc/logcatch/logcatch.toml";

/// Tails log files and ships every line to Apache Kafka.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES, arg_required_else_help = true)]
pub struct Cli {
    /// The settings file [default: $LOGCATCH_CONFIG, else /etc/logcatch/logcatch.toml]
    #[arg(long, global = true, value_name = "F")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "\
Examples:
  logcatch demo                                see it work: no Kafka, no settings, one minute
  logcatch check --broker                      are the settings good, and do the topics exist?
  logcatch preview /var/log/nginx/access.log   the records that a file would become
  logcatch run --config logcatch.toml          the service
  logcatch status --watch                      how it stands, live

Exit codes: 0 done, 1 failure, 2 usage, 3 another logcatch holds the state directory or has taken
over kafka.instance, 78 settings refused";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the service in the foreground, until SIGTERM or SIGINT
    #[command(after_help = "\
Examples:
  logcatch run
  logcatch run --config logcatch.toml
  kill -HUP $(pidof logcatch)      read the settings again (they are also read when the file changes)")]
    Run,
    /// Says whether the settings are good and what they would ship
    #[command(after_help = "\
Examples:
  logcatch check
  logcatch check --broker          also asks Kafka for the topics
  logcatch check --json | jq '.entries[] | {name, files: (.files | length)}'")]
    Check(CheckArgs),
    /// Prints the settings that apply, and where each comes from; secrets as ***
    #[command(after_help = "\
Examples:
  logcatch settings
  logcatch settings --json | jq -r '.[] | \"\\(.key) \\(.origin)\"'
  logcatch settings --schema > logcatch.schema.json      for editors")]
    Settings(SettingsArgs),
    /// Prints the records that a file would become: no Kafka, no positions
    #[command(after_help = "\
Examples:
  logcatch preview /var/log/nginx/access.log | head
  logcatch preview --follow app.log")]
    Preview(PreviewArgs),
    /// Says how the running service stands: a verdict, then a row a file, worst first
    #[command(after_help = "\
States: idle, reading, waiting (passes by itself), blocked (needs somebody), failed (is started again by itself).

Examples:
  logcatch status
  logcatch status --watch
  logcatch status /var/log/nginx/access.log
  logcatch status --url http://127.0.0.1:5642      through its status page
  logcatch status --json | jq '.files[] | select(.state == \"blocked\") | {path, reason, detail}'")]
    Status(StatusArgs),
    /// Starts watchers anew, from their saved positions
    #[command(after_help = "\
What a watcher has on its way to Kafka is acknowledged first, so that nothing is sent twice; others do not notice.

Examples:
  logcatch restart /var/log/nginx/access.log
  logcatch restart nginx                       all files of the entry")]
    Restart(OrderArgs),
    /// Applies the settings file to the running service now, and says whether it was applied
    #[command(after_help = "\
The file is also applied by itself when it changes. Exit code 78: it was refused, and nothing changed.

Examples:
  logcatch plan && logcatch reload")]
    Reload(ServiceArgs),
    /// Says what applying the settings file would start, stop and change in the running service
    #[command(after_help = "\
Exit code 78: it would be refused.

Examples:
  logcatch plan
  logcatch plan --json | jq '.entries[] | {log, what, start, stop}'")]
    Plan(ServiceArgs),
    /// Lists or changes how far files are shipped: through the service, or on the store if none runs
    #[command(
        arg_required_else_help = true,
        after_help = "\
Examples:
  logcatch positions list
  logcatch positions set /var/log/app.log end
  logcatch positions reset nginx"
    )]
    Positions(PositionsArgs),
    /// Lists the lines that Kafka refused for themselves, or sends them again
    #[command(
        name = "dead-letters",
        arg_required_else_help = true,
        after_help = "\
Examples:
  logcatch dead-letters list
  logcatch dead-letters list --log nginx --json | jq -r .line
  logcatch dead-letters resend                 after the topic's max.message.bytes was raised
  logcatch dead-letters resend --topic large   to a topic that takes them"
    )]
    DeadLetters(DeadLettersArgs),
    /// Shows the service at work on rotating logs and a broker in memory, faults included
    #[command(after_help = "\
Examples:
  logcatch demo
  logcatch demo --log /var/log/syslog
  logcatch demo --seconds 30 < /dev/null      plays its script and ends with a verdict")]
    Demo(DemoArgs),
    /// Prints what completes these commands in a shell
    #[command(after_help = "\
The Debian package brings it.

Examples:
  logcatch completions bash > ~/.local/share/bash-completion/completions/logcatch
  logcatch completions zsh > /usr/local/share/zsh/site-functions/_logcatch
  logcatch completions fish > ~/.config/fish/completions/logcatch.fish")]
    Completions(CompletionsArgs),
    /// Writes the manual pages of these commands
    #[command(after_help = "\
The Debian package brings them.

Examples:
  logcatch man /usr/local/share/man/man1
  logcatch man . && man ./logcatch.1")]
    Man(ManArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Asks Kafka whether the topics can be used
    #[arg(long)]
    pub broker: bool,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct SettingsArgs {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    /// Prints the JSON Schema of settings files instead
    #[arg(long)]
    pub schema: bool,
}

#[derive(Debug, Args)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    pub command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Prints the dead letters, oldest first
    #[command(after_help = "\
Examples:
  logcatch dead-letters list
  logcatch dead-letters list --path /var/log/nginx/access.log
  logcatch dead-letters list --json | jq -r .line")]
    List(ListLetters),
    /// Sends dead letters again, each to the topic, with the key and into the partition it had
    #[command(after_help = "\
Through the service, or by itself if none runs. What Kafka acknowledges is no longer kept; what it refuses again is. A crash
halfway loses no letter and sends some twice the next time. Exit code 0 only if none is left; also where `--path` is no file, and others have some, it is not 0.

Examples:
  logcatch dead-letters resend
  logcatch dead-letters resend --log nginx --topic large-lines")]
    Resend(ResendLetters),
}

/// Which dead letters are meant.
#[derive(Debug, Args)]
pub struct LetterFilter {
    /// Only those of this entry
    #[arg(long, value_name = "NAME")]
    pub log: Option<String>,
    /// Only those of this file
    #[arg(long)]
    pub path: Option<PathBuf>,
    /// The state directory [default: that of the settings]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ListLetters {
    #[command(flatten)]
    pub letters: LetterFilter,
    /// Prints one JSON object a line, as they are kept, with key and line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ResendLetters {
    #[command(flatten)]
    pub letters: LetterFilter,
    /// Sends them to this topic instead
    #[arg(long, value_parser = topic)]
    pub topic: Option<String>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
}

/// What no topic can be called is said before anything is tried.
fn topic(text: &str) -> Result<String, logcatch_settings::IllegalTopic> {
    logcatch_settings::topic_name(text.to_owned())
}

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct ManArgs {
    /// The directory, which must exist
    #[arg(value_name = "DIR")]
    pub directory: PathBuf,
}

#[derive(Debug, Args)]
pub struct PreviewArgs {
    /// The file
    pub path: PathBuf,
    /// Goes on with what is appended
    #[arg(long)]
    pub follow: bool,
    /// Prints one JSON object a record, with topic, key and offset
    #[arg(long)]
    pub json: bool,
}

// === impl Cli ===

impl Cli {
    /// The settings file.
    pub fn config(&self) -> PathBuf {
        let from_environment = || {
            env::var_os(CONFIG_VARIABLE)
                .filter(|name| !name.is_empty())
                .map(PathBuf::from)
        };
        self.config
            .clone()
            .or_else(from_environment)
            .unwrap_or_else(|| DEFAULT_CONFIG.into())
    }
}

/// Looks up an environment variable; one that is not UTF-8 counts as not set.
pub fn environment(name: &str) -> Option<String> {
    env::var(name).ok()
}

/// Whether messages on stderr may have colours.
pub fn stderr_has_colours() -> bool {
    // https://no-color.org: present and not empty.
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Whether data on stdout may have colours.
pub fn stdout_has_colours() -> bool {
    io::stdout().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Prints data to stdout. A reader that has seen enough, such as `head`, is no error.
pub fn print(text: &str) -> Result<(), Failure> {
    print_on(text).map(drop)
}

/// Prints data to stdout; false when nobody reads it any more.
pub fn print_on(text: &str) -> Result<bool, Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::from(crate::error::CannotPrint(error))),
    }
}

/// Prints JSON to stdout, indented.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text =
        serde_json::to_string_pretty(value).map_err(|error| Failure::from(crate::error::CannotPrint(error.into())))?;
    print(&format!("{text}\n"))
}

/// A remark on stderr that is no error.
pub fn note(text: &str) {
    eprintln!("note: {text}");
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_option_names_the_settings_file_before_and_after_the_command() {
        for arguments in [
            ["logcatch", "--config", "a.toml", "run"],
            ["logcatch", "run", "--config", "a.toml"],
        ] {
            assert_eq!(
                Cli::try_parse_from(arguments).unwrap().config(),
                PathBuf::from("a.toml")
            );
        }
    }
}
