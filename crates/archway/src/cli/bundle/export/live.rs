//! The Archway that runs on the directory of an export: it pulls what is missing, tells what its index
//! says, and keeps what is being written from eviction.

use cache::inspect::{Contents, Directory};
use client::{ClientError, ControlSocket, HeldBlobs, ImportSocket, Server, accepting};
use config::Config;
use futures_util::{StreamExt as _, stream};
use manifest_model::{Digest, Manifest, MediaType, Reference};
use protocol::{headers::ARCHWAY_INDEX, image_name::ImageName};
use server::crypto;
use tokio::runtime::{self, Runtime};

use crate::cli::{
    bundle::error::ExportError,
    cache::CachePlace,
    output::{Failure, RuntimeError},
    progress::Progress,
};

/// Blobs and manifests pulled at the same time.
const MAX_CONCURRENT_PULLS: usize = 4;

/// A running Archway, asked on this thread.
pub(super) struct Live {
    config: Config,
    socket: ControlSocket,
    server: Server,
    runtime: Runtime,
}

/// Something to be pulled for an image.
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) image: ImageName,
    pub(super) digest: Digest,
    pub(super) kind: PartKind,
}

/// What a digest is, for a registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    Manifest,
    Blob,
}

impl Live {
    /// The one that runs on the directory, if one does.
    pub(super) fn find(place: &CachePlace) -> Result<Option<Self>, Failure> {
        let Some(config) = place.running_config()? else {
            return Ok(None);
        };
        // HTTP clients are made below.
        crypto::install();
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        Ok(Some(Self {
            socket: ControlSocket::of(&config)?,
            server: Server::new(&config, None, None),
            runtime: runtime.map_err(|error| Failure::negative(&RuntimeError(error)))?,
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

    /// A manifest as it is: of an index that goes out as one of its images, to whoever asks at this
    /// listener, the index.
    pub(super) fn manifest(
        &self,
        name: &ImageName,
        reference: &Reference,
    ) -> Result<Manifest, ClientError> {
        self.runtime
            .block_on(manifest(&self.server, name, reference))
    }

    /// The digests that the upstream lists as referring to `subject`; none where it has no such lists.
    pub(super) fn referrers(
        &self,
        name: &ImageName,
        subject: &Digest,
    ) -> Result<Vec<Digest>, ClientError> {
        let answer = self.server.referrers(name, subject);
        self.runtime.block_on(answer)
    }

    /// Has all of this pulled, some at a time. The answer has its order.
    pub(super) fn pull(&self, parts: &[Part], progress: &Progress) -> Vec<Result<(), ClientError>> {
        let pulls = stream::iter(parts).map(|part| pull(&self.server, part, progress));
        self.runtime
            .block_on(pulls.buffered(MAX_CONCURRENT_PULLS).collect())
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

    /// Keeps these from eviction, stored or not, as long as the answer lives.
    pub(super) fn hold(&self, digests: &[Digest]) -> Result<HeldBlobs, ExportError> {
        let socket = ImportSocket::find(&self.config)?.ok_or(ExportError::Gone)?;
        Ok(socket.hold(digests)?)
    }
}

async fn manifest(
    server: &Server,
    name: &ImageName,
    reference: &Reference,
) -> Result<Manifest, ClientError> {
    let everything = || accepting(MediaType::MANIFESTS);
    let answer = server.manifest(name, reference, everything()).await?;
    let index = answer.header(&ARCHWAY_INDEX);
    let Some(index) = index.and_then(|index| index.parse().ok()) else {
        return answer.manifest();
    };
    let index = Reference::Digest(index);
    server
        .manifest(name, &index, everything())
        .await?
        .manifest()
}

async fn pull(server: &Server, part: &Part, progress: &Progress) -> Result<(), ClientError> {
    match part.kind {
        PartKind::Manifest => {
            let reference = Reference::Digest(part.digest);
            manifest(server, &part.image, &reference).await.map(drop)
        }
        PartKind::Blob => {
            let count = |piece: &[u8]| progress.advance(piece.len() as u64);
            server.read_blob(&part.image, &part.digest, count).await
        }
    }
}
