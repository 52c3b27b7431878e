//! A server process: started on its core, watched, and gone with its handle.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};

use super::usage::{self, Memory};
use crate::client::pull;
use crate::place::Cores;

/// How long a server may take to give its first answer.
const START: Duration = Duration::from_mins(1);
/// How often a starting server is tried.
const TRY: Duration = Duration::from_micros(200);
/// How often memory is looked at for its peak.
const SAMPLE: Duration = Duration::from_millis(20);

/// A running server. Dropping it kills it with all it has started.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// From the start of the program to its first answer.
    pub(crate) ready: Duration,
    child: Child,
    pids: Vec<u32>,
}

impl Server {
    /// Starts it with its log in `log`, and returns at its first answer to `path`, whatever the
    /// status.
    pub(crate) fn start(
        mut command: Command,
        cores: &Cores,
        address: SocketAddr,
        path: &str,
        log: &Path,
    ) -> anyhow::Result<Self> {
        let file = File::create(log).with_context(|| log.display().to_string())?;
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let (begun, child) = cores.on_server(|| (Instant::now(), command.spawn()))?;
        let child = child.with_context(|| format!("{}", command.get_program().display()))?;
        let mut server = Self {
            address,
            ready: Duration::ZERO,
            pids: vec![child.id()],
            child,
        };
        server.wait_for_answer(begun, path, log)?;
        server.pids = usage::tree(server.child.id());
        Ok(server)
    }

    fn wait_for_answer(&mut self, begun: Instant, path: &str, log: &Path) -> anyhow::Result<()> {
        while pull::status(self.address, path).is_err() {
            if let Some(status) = self.child.try_wait()? {
                let said = std::fs::read_to_string(log).unwrap_or_default();
                bail!("it ended at its start ({status}):\n{said}");
            }
            if begun.elapsed() > START {
                bail!("no answer after {START:?}; see {}", log.display());
            }
            thread::sleep(TRY);
        }
        self.ready = begun.elapsed();
        Ok(())
    }

    /// The processor time it has used so far, in seconds.
    pub(crate) fn cpu(&self) -> f64 {
        usage::cpu(&self.pids)
    }

    pub(crate) fn memory(&self) -> Memory {
        usage::memory(&self.pids)
    }

    /// Runs `work`, and says how much anonymous memory the server had at most meanwhile.
    pub(crate) fn peak_anon<T>(&self, work: impl FnOnce() -> T) -> (T, u64) {
        let done = AtomicBool::new(false);
        thread::scope(|scope| {
            let watch = scope.spawn(|| {
                let mut peak = self.memory().anon;
                while !done.load(Ordering::Relaxed) {
                    thread::sleep(SAMPLE);
                    peak = peak.max(self.memory().anon);
                }
                peak
            });
            let worked = work();
            done.store(true, Ordering::Relaxed);
            (worked, watch.join().unwrap_or_default())
        })
    }

    /// `kill -9`, as dropping it does, but said aloud.
    pub(crate) fn kill(self) {
        drop(self);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pids = usage::tree(self.child.id()).into_iter();
        let pids = pids.filter_map(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        for pid in pids {
            // One that is gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}
