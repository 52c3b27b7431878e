//! The binary: arguments, configuration, telemetry, run, exit code.

mod cli;
mod client;
mod doctor;

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use config::Config;
use protocol::error_chain::ErrorChain;
use proxy::{
    app::App,
    descriptors,
    telemetry::{self, log_writer::LogWriter},
};
use server::crypto;

use crate::{
    cli::{Answer, Cli, Command, ImageCommand},
    doctor::{DoctorCommand, Upstreams},
};

/// How long the exit waits for work that cannot be cancelled: a name look-up, a write to a disk
/// that hangs.
const LAST_WORK: Duration = Duration::from_secs(1);

/// How long the exit waits for the last lines of the log: a reader that has stopped must not keep
/// the process.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Threads for blocking work: tokio's default. Each running download holds one more to its end.
const BLOCKING_THREADS: usize = 512;

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Config { command } => command.run().deliver(),
        Command::Cache { command } => command.run().deliver(),
        Command::Image(command) => ask(&command),
        Command::Serve(file) => match file.load() {
            Ok(config) => serve(config),
            Err(error) => Answer::unusable(&error).deliver(),
        },
        Command::Doctor {
            command: DoctorCommand::Upstreams(upstreams),
        } => match upstreams.file.load() {
            Ok(config) => examine(&upstreams, &config),
            Err(error) => Answer::unusable(&error).deliver(),
        },
    }
}

fn examine(upstreams: &Upstreams, config: &Config) -> ExitCode {
    crypto::install();
    match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime.block_on(upstreams.run(config)).deliver(),
        Err(error) => Answer::failed(&error).deliver(),
    }
}

/// Runs a command about images on this thread.
fn ask(command: &ImageCommand) -> ExitCode {
    crypto::install();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(command.run()).deliver(),
        Err(error) => Answer::failed(&error).deliver(),
    }
}

fn serve(mut config: Config) -> ExitCode {
    let lines = match telemetry::init(&config.log) {
        Ok(lines) => lines,
        Err(error) => {
            return Answer::failed(&format_args!("cannot start the log: {error}")).deliver();
        }
    };
    descriptors::fit(&mut config);
    crypto::install();
    let code = match run(config, lines.clone()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if tracing::enabled!(tracing::Level::ERROR) => {
            tracing::error!(error = %ErrorChain(error.as_ref()), "archway cannot run");
            ExitCode::FAILURE
        }
        // The log leaves errors out, but a process that ends must give its reason.
        Err(error) => Answer::failed(&ErrorChain(error.as_ref())).deliver(),
    };
    lines.flush(LAST_LINES);
    code
}

fn run(config: Config, lines: LogWriter) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS + config.cache.max_fills)
        .build()?;
    let outcome = runtime.block_on(async { App::start(config, lines).await?.run().await });
    // This cuts clients that are still reading; each gets its line in the access log.
    runtime.shutdown_timeout(LAST_WORK);
    Ok(outcome?)
}
