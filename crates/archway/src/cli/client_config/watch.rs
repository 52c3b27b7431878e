//! `--watch`: the files are there while Archway answers, as they should be, and not longer.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use cluster::TaintWatch;
use doctor::Own;
use node::{
    Settings,
    containerd::{Changes, NodeError},
};
use protocol::error_chain::ErrorChain;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::sleep,
};

use super::place::Containerd;
use crate::cli::output::{CommandOutput, Exit};

/// Between two looks while Archway is silent: a node waits for it.
const WAIT_FOR_ARCHWAY: Duration = Duration::from_secs(1);
/// Between two looks while it answers.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Looks in a row at which Archway may be silent before the files go. One that has ended costs
/// pulls nothing, since its port is closed; one that hangs does.
const MAX_SILENT_LOOKS: u32 = 3;

/// Reports to standard error, each text once until another takes its place.
#[derive(Default)]
struct Reporter {
    last: String,
}

/// Runs until SIGTERM or SIGINT.
pub(super) async fn run(
    place: &Containerd,
    settings: &Settings,
    own: &Own,
    mut taint: Option<TaintWatch>,
    keep_on_exit: bool,
) -> CommandOutput {
    let (mut reporter, mut taint_reporter) = (Reporter::default(), Reporter::default());
    let watched = async {
        // Files may be there from an earlier run: only having taken them away says that they are not.
        let (mut silent, mut are_gone) = (0, false);
        loop {
            match own.prove().await {
                Ok(()) => {
                    (silent, are_gone) = (0, false);
                    let is_led = reporter.applied(apply(place, settings).await);
                    if is_led
                        && let Some(taint) = &mut taint
                        && let Some(found) = taint.look().await
                    {
                        taint_reporter.tell(&found);
                    }
                }
                Err(error) => {
                    silent += 1;
                    let mut state = vec![format!("waiting: {}", ErrorChain(&error))];
                    if silent >= MAX_SILENT_LOOKS && !are_gone {
                        let left = left_after(place.clear().await);
                        are_gone = left.is_empty();
                        state.extend(left);
                    }
                    reporter.tell(&state.join("\n"));
                }
            }
            sleep(if silent == 0 {
                LOOK_AGAIN
            } else {
                WAIT_FOR_ARCHWAY
            })
            .await;
        }
    };
    tokio::select! {
        () = watched => {}
        () = told_to_end() => {}
    }
    if keep_on_exit {
        return CommandOutput::success(String::new());
    }
    let left = left_after(place.clear().await);
    for fault in &left {
        line(fault);
    }
    let exit = if left.is_empty() {
        Exit::Success
    } else {
        Exit::Unusable
    };
    CommandOutput::new(String::new(), exit)
}

async fn apply(place: &Containerd, settings: &Settings) -> Result<Changes, NodeError> {
    place.node().await?.apply(settings)
}

async fn told_to_end() {
    let watched = [SignalKind::terminate(), SignalKind::interrupt()].map(signal);
    let [Ok(mut terminate), Ok(mut interrupt)] = watched else {
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

impl Reporter {
    /// Tells what was done; true where containerd is led to Archway now.
    fn applied(&mut self, applied: Result<Changes, NodeError>) -> bool {
        let applied = match applied {
            Ok(applied) => applied,
            Err(error) => {
                self.tell(&format!("error: {}", ErrorChain(&error)));
                return false;
            }
        };
        for change in &applied.made {
            line(&format!("done: {change}"));
        }
        let mut state: Vec<String> = (applied.faults.iter())
            .map(|fault| format!("error: {fault}"))
            .collect();
        state.extend(applied.restart);
        let is_led = state.is_empty();
        if is_led {
            state.push("applied".to_owned());
        }
        self.tell(&state.join("\n"));
        is_led
    }

    fn tell(&mut self, text: &str) {
        if self.last != text {
            line(text);
            text.clone_into(&mut self.last);
        }
    }
}

/// Tells what was taken away, and returns a line for each thing that was not.
fn left_after(removed: Result<Changes, NodeError>) -> Vec<String> {
    let removed = match removed {
        Ok(removed) => removed,
        Err(error) => return vec![format!("error: {}", ErrorChain(&error))],
    };
    for change in &removed.made {
        line(&format!("done: {change}"));
    }
    let faults = removed.faults.iter();
    faults.map(|fault| format!("error: {fault}")).collect()
}

/// A closed standard error is no failure.
fn line(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
