//! The inbox: bundles that are put into a folder, as by a diode, are imported by themselves.

use std::{path::Path, sync::Arc, time::Duration};

use airgap::{Inbox, Mode, Ready, Step, open, take};
use bundle::FileAccess;
use parking_lot::Mutex;
use protocol::error_chain::ErrorChain;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::{Control, ImportFlags, ImportsError, imports};

/// How often the folder is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);

/// Imports what comes into the inbox of the configuration in force, until the process ends. Without
/// one it only looks whether there is one now.
pub async fn watch_inbox(control: Control) {
    let stop = control.stop.clone();
    stop.run_until_cancelled(watch(&control)).await;
}

async fn watch(control: &Control) {
    let mut looks = interval(LOOK_INTERVAL);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut inbox, mut is_failing) = (None, false);
    loop {
        looks.tick().await;
        let config = control.config.current();
        let Some(folder) = &config.bundles.inbox else {
            inbox = None;
            continue;
        };
        let known = inbox
            .take()
            .filter(|inbox: &Inbox| inbox.folder() == folder);
        match look(control, known, folder).await {
            Ok(looked) => (inbox, is_failing) = (Some(looked), false),
            Err(error) if !is_failing => {
                is_failing = true;
                warn!(folder = %folder.display(), %error, "the inbox cannot be used");
            }
            Err(_) => {}
        }
    }
}

/// One look, and the imports it leads to.
async fn look(control: &Control, inbox: Option<Inbox>, folder: &Path) -> std::io::Result<Inbox> {
    let folder = folder.to_owned();
    let look = move || -> std::io::Result<_> {
        let mut inbox = match inbox {
            Some(inbox) => inbox,
            None => Inbox::open(&folder)?,
        };
        let outcome = inbox.look()?;
        Ok((inbox, outcome))
    };
    let looked = tokio::task::spawn_blocking(look).await;
    let (inbox, outcome) = looked.unwrap_or_else(|error| Err(std::io::Error::other(error)))?;
    for (bundle, reason) in outcome.waiting {
        info!(name = %bundle.display(), reason = %ErrorChain(&reason), "a bundle in the inbox is not complete");
    }
    for ready in outcome.ready {
        let name = ready.files.path().display().to_string();
        let imported = import(control, &ready).await;
        if let Err(error) = &imported {
            warn!(name, error = %ErrorChain(error), "a bundle was not imported");
        }
        let reason = imported
            .as_ref()
            .map_err(|error| ErrorChain(error).to_string());
        let report = reason.as_ref().copied().map_err(String::as_str);
        if let Err(error) = inbox.put_away(&ready, report) {
            warn!(name, %error, "a bundle cannot be moved out of the inbox");
        }
    }
    Ok(inbox)
}

async fn import(control: &Control, ready: &Ready) -> Result<airgap::Imported, ImportsError> {
    let files = ready.files.clone();
    let open = move || open(&files, &FileAccess::Paths, None);
    let opened = tokio::task::spawn_blocking(open).await;
    let opened = opened.map_err(|_| ImportsError::Ending)??;
    let flags = ImportFlags::default();
    let rules = Arc::new(flags.rules(&control.config.current())?);
    let turn = Arc::clone(&control.turns.importing).lock_owned().await;
    let taken = Arc::new(Mutex::new(None));
    let noted = Arc::clone(&taken);
    let tell = move |step| {
        let _turn = &turn;
        if let Step::Taken { name, imported } = step {
            imports::log(&name, &imported);
            *noted.lock() = Some(imported);
        }
    };
    let cache = control.pull.cache();
    let outcome = take(cache, &rules, vec![opened], Mode::Import, Arc::new(tell)).await;
    control.server.forget_answers();
    let imported = taken.lock().take();
    outcome?;
    imported.ok_or(ImportsError::Ending)
}
