//! The Archway that runs on the directory of an export: it pulls what is missing, tells what its index
//! says, and keeps what is being written from eviction.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    io::{self, Write as _},
};

use airgap::{Cause, Part, PartKind, PullError, Running};
use cache::inspect::{Contents, Directory};
use client::{ClientError, ControlSocket, HeldBlobs, ImportSocket, Server};
use config::Config;
use futures_util::{StreamExt as _, stream};
use manifest_model::{Digest, Manifest, Reference};
use protocol::image_name::ImageName;
use server::crypto;
use terminal::{progress::Progress, table::size};
use tokio::runtime::{self, Runtime};
use url::Url;

use crate::cli::{
    bundle::error::ExportError,
    cache::CachePlace,
    output::{Failure, RuntimeError, counted},
};

/// Blobs and manifests pulled at the same time.
const MAX_CONCURRENT_PULLS: usize = 4;

/// A running Archway, asked on this thread.
pub(super) struct Live {
    config: Config,
    socket: ControlSocket,
    server: Server,
    runtime: Runtime,
    held: RefCell<Held>,
}

/// All that is kept from eviction, by one connection: the socket has few.
#[derive(Default)]
struct Held {
    digests: BTreeSet<Digest>,
    connection: Option<HeldBlobs>,
}

/// The server does not run any more.
#[derive(Debug, thiserror::Error)]
#[error("the server that runs on the directory has ended meanwhile; export again")]
struct Gone;

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
            held: RefCell::default(),
            config,
        }))
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
}

impl Running for Live {
    fn can_pull(&self, name: &ImageName) -> bool {
        let host = name.host.as_ref();
        let upstream = host.and_then(|host| self.config.upstreams.find(host));
        upstream.is_some_and(|upstream| !upstream.offline)
    }

    fn manifest(&self, name: &ImageName, reference: &Reference) -> Result<Manifest, PullError> {
        let answer = self.server.whole_manifest(name, reference);
        self.runtime.block_on(answer).map_err(not_pulled)
    }

    fn referrers(&self, name: &ImageName, subject: &Digest) -> Result<Vec<Digest>, PullError> {
        let answer = self.server.referrers(name, subject);
        self.runtime.block_on(answer).map_err(not_pulled)
    }

    fn pull(&self, parts: &[Part], bytes: u64) -> Vec<Result<(), PullError>> {
        let blobs = parts.iter().filter(|part| part.kind == PartKind::Blob);
        let blobs = blobs.count() as u64;
        // Said before the first of it comes: who sees that it is too much can still end it.
        if blobs > 0 {
            let line = format!("to be pulled: {}, {}", counted(blobs, "blob"), size(bytes));
            let _ = writeln!(io::stderr(), "{line}");
        }
        let progress = Progress::of("pulled", bytes);
        let pulls = stream::iter(parts).map(|part| pull(&self.server, part, &progress));
        let pulled: Vec<_> = self
            .runtime
            .block_on(pulls.buffered(MAX_CONCURRENT_PULLS).collect());
        progress.end();
        let pulled = pulled.into_iter();
        pulled.map(|one| one.map_err(not_pulled)).collect()
    }

    fn hold(&self, digests: &[Digest]) -> Result<(), Cause> {
        let socket = ImportSocket::find(&self.config)?.ok_or(Gone)?;
        let mut held = self.held.borrow_mut();
        held.digests.extend(digests);
        let all: Vec<Digest> = held.digests.iter().copied().collect();
        // The one before ends when this one holds all of it.
        let before = held.connection.replace(socket.hold(&all)?);
        drop(before);
        Ok(())
    }
}

fn not_pulled(error: ClientError) -> PullError {
    if error.is_not_found() {
        PullError::Absent(error.into())
    } else {
        PullError::Failed(error.into())
    }
}

async fn pull(server: &Server, part: &Part, progress: &Progress) -> Result<(), ClientError> {
    match part.kind {
        PartKind::Manifest => {
            let reference = Reference::Digest(part.digest);
            let pulled = server.whole_manifest(&part.image, &reference);
            pulled.await.map(drop)
        }
        PartKind::Blob => {
            let count = |piece: &[u8]| progress.advance(piece.len() as u64);
            server.read_blob(&part.image, &part.digest, count).await
        }
    }
}
