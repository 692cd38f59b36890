//! logcatch tails log files and ships every line to Apache Kafka.

mod check;
mod cli;
mod control;
mod dead_letters_command;
mod demo;
mod error;
#[cfg(feature = "etcd")]
mod etcd;
mod exactly_once;
mod generate;
mod last_good;
mod logging;
mod orders;
mod positions_command;
mod preview;
mod run;
mod service_manager;
mod settings_command;
mod state_failure;
mod status;
mod web;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{Cli, Command};

fn main() -> ExitCode {
    logcatch_kafka::gather_heap();
    let cli = Cli::parse();
    let config = cli.config();
    let done = match cli.command {
        Command::Run => run::run(&config),
        Command::Check(args) => check::run(&config, &args),
        Command::Settings(args) => settings_command::run(&config, &args),
        Command::Preview(args) => preview::run(&config, &args),
        Command::Status(args) => status::run(&config, &args),
        Command::Restart(args) => orders::restart(&config, &args),
        Command::Reload(args) => orders::reload(&config, &args),
        Command::Plan(args) => orders::plan(&config, &args),
        Command::Positions(args) => positions_command::run(&config, &args),
        Command::DeadLetters(args) => dead_letters_command::run(&config, &args),
        Command::Completions(args) => generate::print_completions(&args),
        Command::Man(args) => generate::write_man_pages(&args),
        Command::Demo(args) => return demo::run(args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
