//! The Archway that runs on the directory of an export: it pulls what is missing, tells what its index
//! says, and keeps what is being written from eviction.

use std::{
    thread,
    time::{Duration, Instant},
};

use airgap::Stored;
use bundle::Lock;
use cache::inspect::{Contents, Directory};
use client::{ClientError, ControlSocket, HeldBlobs, ImportSocket, Server, accepting};
use config::Config;
use manifest_model::{Digest, Manifest, MediaType, Reference};
use protocol::image_name::ImageName;
use server::crypto;
use terminal::progress::Progress;
use tokio::runtime::{self, Runtime};
use url::Url;

use crate::cli::{
    bundle::error::ExportError,
    cache::CachePlace,
    output::{Failure, RuntimeError},
};

/// How long what has come may take to reach the disk, and how often that is looked for.
const STORING_TIME: Duration = Duration::from_secs(30);
const STORING_STEP: Duration = Duration::from_millis(5);

/// A running Archway, asked on this thread.
pub(super) struct Live {
    config: Config,
    socket: ControlSocket,
    server: Server,
    runtime: Runtime,
    progress: Progress,
}

impl Live {
    /// The one that runs on the directory, if one does.
    pub(super) fn find(
        place: &CachePlace,
        registry: Option<&Url>,
    ) -> Result<Option<Self>, Failure> {
        let Some(config) = place.running_config()? else {
            return Ok(None);
        };
        // HTTP clients are made below.
        crypto::install();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Ok(Some(Self {
            socket: ControlSocket::of(&config)?,
            server: Server::new(&config, registry, None),
            runtime: runtime.map_err(|error| Failure::negative(&RuntimeError(error)))?,
            progress: Progress::open("pulled"),
            config,
        }))
    }

    /// Whether anything of `name` can come: an offline upstream has nothing, and asking would only be
    /// noted as a wish.
    pub(super) fn can_pull(&self, name: &ImageName) -> bool {
        let host = name.host.as_ref();
        let upstream = host.and_then(|host| self.config.upstreams.find(host));
        upstream.is_some_and(|upstream| !upstream.offline)
    }

    /// A manifest as it is.
    pub(super) fn manifest(
        &self,
        name: &ImageName,
        reference: &Reference,
    ) -> Result<Manifest, ClientError> {
        let everything = accepting(MediaType::MANIFESTS);
        let answer = self.server.manifest(name, reference, everything);
        self.runtime.block_on(answer)?.manifest()
    }

    /// The list of what refers to `subject`, where the upstream has such lists.
    pub(super) fn referrers(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Option<Manifest>, ClientError> {
        let answer = self.server.referrers(name, subject);
        self.runtime.block_on(answer)
    }

    /// Has a blob pulled.
    pub(super) fn pull_blob(&self, name: &ImageName, digest: &Digest) -> Result<(), ClientError> {
        let count = |piece: &[u8]| self.progress.advance(piece.len() as u64);
        let read = self.server.read_blob(name, digest, count);
        self.runtime.block_on(read)
    }

    /// All that is stored.
    pub(super) fn contents(&self, directory: &Directory) -> Result<Contents, ExportError> {
        let copy = self.runtime.block_on(self.socket.contents())?;
        Ok(directory.contents_by(copy)?)
    }

    /// The number of the next bundle in a series.
    pub(super) fn next_in_series(&self, series: &str, least: u64) -> Result<u64, ExportError> {
        let number = self.socket.next_in_series(series, least);
        Ok(self.runtime.block_on(number)?)
    }

    /// Keeps what the bundle carries from eviction as long as the answer lives. All of it is on the disk
    /// then, or will never be.
    pub(super) fn hold(&self, lock: &Lock, stored: &Stored<'_>) -> Result<HeldBlobs, ExportError> {
        self.progress.end();
        let socket = ImportSocket::find(&self.config)?.ok_or(ExportError::Gone)?;
        let carried: Vec<Digest> = lock.carried().map(|blob| blob.digest).collect();
        let held = socket.hold(&carried)?;
        for digest in &carried {
            stored_size(stored, digest);
        }
        Ok(held)
    }
}

/// The size of what has come, once it is stored: a body ends before its file has its name. `None` for
/// what has only passed through, for want of room. Blocks.
pub(super) fn stored_size(stored: &Stored<'_>, digest: &Digest) -> Option<u64> {
    let began = Instant::now();
    loop {
        match stored.size_on_disk(digest) {
            None if began.elapsed() < STORING_TIME => thread::sleep(STORING_STEP),
            size => return size,
        }
    }
}
