//! The arguments of the commands that talk to a running service.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::protocol::To;

/// Which service.
#[derive(Debug, Args)]
pub struct ClientArgs {
    /// The service's state directory [default: that of the settings file, which may be broken otherwise]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Only this entry or path
    #[arg(value_name = "PATH or NAME")]
    pub of: Option<String>,
    /// Prints JSON; with --watch, a line each second
    #[arg(long)]
    pub json: bool,
    /// Shows it live: s sorts, / filters, t leaves only trouble, q ends
    #[arg(long)]
    pub watch: bool,
    /// The status page of a service, on this host or another: http://127.0.0.1:5642
    #[arg(long, value_name = "URL", conflicts_with = "state", value_parser = page)]
    pub url: Option<String>,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// The address of a page, with or without its scheme.
fn page(text: &str) -> Result<String, String> {
    match text.split_once("://") {
        None => Ok(format!("http://{text}")),
        Some((scheme, _)) if scheme.eq_ignore_ascii_case("http") => Ok(text.to_owned()),
        Some(_) => Err("the page is plain http: for one that is reached by something else, take a tunnel".to_owned()),
    }
}

/// For commands that are about all of the service.
#[derive(Debug, Args)]
pub struct ServiceArgs {
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

/// For commands that are about some of its watchers.
#[derive(Debug, Args)]
pub struct OrderArgs {
    /// A watched path, or an entry: all of its paths
    #[arg(value_name = "PATH or NAME")]
    pub of: String,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct PositionsArgs {
    #[command(subcommand)]
    pub command: PositionsCommand,
}

#[derive(Debug, Subcommand)]
pub enum PositionsCommand {
    /// Prints every position, rotated files included
    #[command(after_help = "\
Examples:
  logcatch positions list
  logcatch positions list nginx --json | jq '.[] | select(.position < .size)'")]
    List(ListPositions),
    /// Moves the position in the file that is at PATH now
    #[command(after_help = "\
What is before the new position and was not shipped is passed over; what is after it and was shipped is shipped again.

Examples:
  logcatch positions set /var/log/app.log end        skips what is there, but for a line without its end
  logcatch positions set /var/log/app.log begin      ships it again
  logcatch positions set /var/log/app.log 52430      goes on with the line that starts at this byte")]
    Set(SetPosition),
    /// Forgets positions: what is there is read from its beginning
    #[command(after_help = "\
Examples:
  logcatch positions reset /var/log/app.log
  logcatch positions reset nginx                     all files of the entry")]
    Reset(OrderArgs),
}

#[derive(Debug, Args)]
pub struct ListPositions {
    /// Only this entry or path
    #[arg(value_name = "PATH or NAME")]
    pub of: Option<String>,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

#[derive(Debug, Args)]
pub struct SetPosition {
    /// The path
    pub path: String,
    /// `begin`, `end`, or the first byte of a line, counted from 0
    #[arg(value_name = "OFFSET|begin|end", value_parser = to)]
    pub to: To,
    /// Prints JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub client: ClientArgs,
}

fn to(text: &str) -> Result<To, String> {
    match text {
        "begin" => Ok(To::Begin),
        "end" => Ok(To::End),
        number => number
            .parse()
            .map(To::Offset)
            .map_err(|_| "must be `begin`, `end` or a number of bytes".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn a_page_is_plain_http_or_a_usage_error() {
        assert_eq!(page("h:5642").unwrap(), "http://h:5642");
        assert_eq!(page("HTTP://h:5642/").unwrap(), "HTTP://h:5642/");
        assert!(page("https://h").is_err() && page("file:///h").is_err());
    }
}
