//! The choice of an image for a platform, as Archway makes it, from manifests of any source.

use manifest_model::{
    Choice, Digest, ImageConfig, MAX_INDEX_DEPTH, Manifest, Matcher, MediaType, Platform,
    Reference, offered,
};
use protocol::image_name::ImageName;

use super::{
    error::ClientError,
    server::{Server, accepting},
};

/// A repository that manifests and configs can be fetched from.
pub(crate) trait ManifestSource {
    /// Fetches a manifest or an index as it is, without substitution.
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError>;

    /// The platform in the config of an image; `None` where it names none or cannot be read.
    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError>;
}

/// Chooses the image of `reference` for `wanted`.
pub(crate) async fn resolve(
    source: &impl ManifestSource,
    reference: &Reference,
    wanted: &Platform,
) -> Result<Digest, ClientError> {
    let matcher = Matcher::new(wanted);
    let mut current = source.fetch(reference).await?;
    let nothing = |index: &Manifest| ClientError::NothingFits {
        wanted: wanted.clone(),
        offered: offered(index.entries()),
    };
    for _ in 0..=MAX_INDEX_DEPTH {
        if !current.is_index() {
            return Ok(current.digest());
        }
        if current.is_index_of_artifacts() {
            return Err(nothing(&current));
        }
        match current.choice(&matcher)? {
            // The bytes decide whether it is an index; the entry may be wrong.
            Choice::Manifest(entry) | Choice::Index(entry) => {
                current = source.fetch(&Reference::Digest(entry.digest)).await?;
            }
            Choice::Unverified(entry) => {
                let digest = entry.digest;
                let image = source.fetch(&Reference::Digest(digest)).await?;
                if image.is_index() {
                    current = image;
                    continue;
                }
                let platform = source.platform_of(&image).await?;
                return if platform.is_some_and(|platform| matcher.matches(&platform)) {
                    Ok(digest)
                } else {
                    Err(nothing(&current))
                };
            }
            Choice::None => return Err(nothing(&current)),
        }
    }
    Err(nothing(&current))
}

impl Server {
    /// The image of an index for `wanted`. Archway answers a digest with exactly that manifest, so
    /// the client chooses.
    pub async fn choose(
        &self,
        image: &ImageName,
        index: Digest,
        wanted: &Platform,
    ) -> Result<Digest, ClientError> {
        let server = self;
        resolve(
            &ServerRepository { server, image },
            &Reference::Digest(index),
            wanted,
        )
        .await
    }
}

impl Server {
    /// The platform that the config of an image names; `None` for an index, for what is no image, and
    /// where the config names none.
    pub async fn platform_of(
        &self,
        image: &ImageName,
        digest: Digest,
    ) -> Result<Option<Platform>, ClientError> {
        let source = ServerRepository {
            server: self,
            image,
        };
        let manifest = source.fetch(&Reference::Digest(digest)).await?;
        if manifest.is_index() {
            return Ok(None);
        }
        let platform = source.platform_of(&manifest).await?;
        // Not every config is an image's: an artifact's names no processor.
        Ok(platform.filter(|platform| !platform.architecture.is_empty()))
    }
}

/// A repository, through a running Archway.
struct ServerRepository<'a> {
    server: &'a Server,
    image: &'a ImageName,
}

impl ManifestSource for ServerRepository<'_> {
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        let everything = accepting(MediaType::MANIFESTS);
        let answer = self.server.manifest(self.image, reference, everything);
        answer.await?.manifest()
    }

    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        let config = image.config();
        let Some(config) = config.filter(|config| config.size <= ImageConfig::MAX_BYTES as u64)
        else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.server
            .read_blob(self.image, &config.digest, |piece| {
                bytes.extend_from_slice(piece);
            })
            .await?;
        Ok(platform_in(&bytes))
    }
}

/// The platform in a config blob.
pub(crate) fn platform_in(config: &[u8]) -> Option<Platform> {
    ImageConfig::parse(config).ok()?.platform().cloned()
}
