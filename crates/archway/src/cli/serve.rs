//! `archway serve`: hands the configuration to the proxy and waits for its end.

use std::{io, path::PathBuf, time::Duration};

use clap::Args;
use config::{Config, Reach, Source};
use protocol::error_chain::ErrorChain;
use proxy::{
    app::App,
    telemetry::{self, Logging},
};
use server::crypto;
use systemd::HandedSockets;

use super::{
    config_file::ConfigFile,
    output::{CommandOutput, Exit, Failure},
};

/// The time that blocking work has to end after shutdown. It cannot be cancelled: a look-up of a
/// name, or a write to a disk that hangs.
const BLOCKING_WORK_TIMEOUT: Duration = Duration::from_secs(1);

/// The time that the last log lines have to be written: a log reader that stalls must not keep the
/// process alive.
const LOG_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// Threads for blocking work, in addition to the one that each running download holds to its end.
/// tokio's default.
const BLOCKING_THREADS: usize = 512;

/// Run the proxy until SIGTERM or Ctrl-C
#[derive(Debug, Args)]
#[command(after_help = "\
Without a file every key has its default: the registry on 127.0.0.1:5000, the admin routes on
127.0.0.1:9464, the cache in $XDG_CACHE_HOME/archway or ~/.cache/archway, without either variable in
/var/cache/archway. `archway config print` shows all of them.

Exit codes: 0 stopped by a signal; 1 could not start or failed; 2 the configuration is not valid.

Examples:
  archway serve --config /etc/archway.toml
  archway serve --config /etc/archway.toml --offline    # an air-gapped site
  archway serve --offline --bundle /media/dvd/site.tar  # with nothing imported
  archway serve --wait-for-cache 2m                     # while the last one still ends")]
pub(crate) struct Serve {
    #[command(flatten)]
    file: ConfigFile,
    /// Ask no upstream at all, and serve what is stored, as `offline = true` in the file
    #[arg(long)]
    offline: bool,
    /// Serve this bundle as it is, and nothing that is stored: its blobs are read where they lie. May
    /// be repeated; a delta after what it builds on
    #[arg(long, value_name = "FILE", requires = "offline")]
    bundle: Vec<PathBuf>,
    /// How long to wait for a cache that another process has: the one that this one replaces, say
    #[arg(long, value_name = "TIME", default_value = "0s")]
    wait_for_cache: humantime::Duration,
}

#[derive(Debug, thiserror::Error)]
#[error("cannot start the log")]
struct LogError(#[source] io::Error);

impl Serve {
    pub(super) fn run(&self) -> Result<CommandOutput, Failure> {
        // First: it changes the environment, which no second thread may read meanwhile.
        let handed =
            HandedSockets::from_environment().map_err(|error| Failure::negative(&error))?;
        let reach = if self.offline {
            Reach::Offline
        } else {
            Reach::AsConfigured
        };
        let source = self.file.source(reach);
        let config = source.load()?.config;
        let logging =
            telemetry::init(&config.log).map_err(|error| Failure::negative(&LogError(error)))?;
        let lines = logging.lines.clone();
        crypto::install();
        let outcome = self.serve(source, config, handed, logging);
        let output = match outcome {
            Ok(()) => Ok(CommandOutput::success(String::new())),
            Err(error) if tracing::enabled!(tracing::Level::ERROR) => {
                tracing::error!(error = %ErrorChain(error.as_ref()), "archway cannot run");
                Ok(CommandOutput::new(String::new(), Exit::Negative))
            }
            // The log leaves errors out, but a process that fails must give its reason.
            Err(error) => Err(Failure::negative(error.as_ref())),
        };
        lines.flush(LOG_FLUSH_TIMEOUT);
        output
    }

    fn serve(
        &self,
        source: Source,
        config: Config,
        handed: HandedSockets,
        logging: Logging,
    ) -> anyhow::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(BLOCKING_THREADS + config.cache.max_fills)
            .build()?;
        let wait = self.wait_for_cache.into();
        let outcome = runtime.block_on(async {
            App::start(source, config, &self.bundle, handed, logging, wait)
                .await?
                .run()
                .await
        });
        // Ends the connections of clients that are still reading; each of them gets its log line.
        runtime.shutdown_timeout(BLOCKING_WORK_TIMEOUT);
        Ok(outcome?)
    }
}
