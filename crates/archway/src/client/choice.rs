//! Chooses the image of an index for a platform as Archway would, wherever the manifests come from.

use manifest_model::{
    Choice, Digest, MAX_INDEX_DEPTH, Manifest, Matcher, MediaType, Platform, Reference, choose,
    offered,
};
use protocol::image_name::ImageName;

use super::{ClientError, Server, accepting};

/// The largest image config read to learn its platform.
pub(super) const LARGEST_CONFIG: usize = 8 * 1024 * 1024;

/// Where the manifests of one repository are.
pub(super) trait Source {
    /// A manifest as it is, whatever the platform.
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError>;

    /// The platform that an image's config names.
    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError>;
}

/// The image `reference` means for `wanted`.
pub(super) async fn resolve(
    source: &impl Source,
    reference: &Reference,
    wanted: &Platform,
) -> Result<Digest, ClientError> {
    let matcher = Matcher::new(wanted);
    let mut current = source.fetch(reference).await?;
    let nothing = |index: &Manifest| ClientError::NothingFits {
        wanted: wanted.clone(),
        offered: listed(index),
    };
    for _ in 0..=MAX_INDEX_DEPTH {
        if !current.is_index() {
            return Ok(current.digest());
        }
        match choose(current.entries(), &matcher) {
            // The bytes decide whether it is an index: the entry may be wrong.
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

fn listed(index: &Manifest) -> String {
    let offered: Vec<_> = offered(index.entries())
        .iter()
        .map(ToString::to_string)
        .collect();
    if offered.is_empty() {
        "none at all".to_owned()
    } else {
        offered.join(", ")
    }
}

impl Server {
    /// The image of an index for `wanted`. Archway answers a digest with exactly that manifest, so
    /// here the client chooses.
    pub(crate) async fn choose(
        &self,
        image: &ImageName,
        index: Digest,
        wanted: &Platform,
    ) -> Result<Digest, ClientError> {
        let server = self;
        resolve(
            &Through { server, image },
            &Reference::Digest(index),
            wanted,
        )
        .await
    }
}

/// The repository of an image, through a running Archway.
struct Through<'a> {
    server: &'a Server,
    image: &'a ImageName,
}

impl Source for Through<'_> {
    async fn fetch(&self, reference: &Reference) -> Result<Manifest, ClientError> {
        let everything = accepting(MediaType::MANIFESTS);
        let answer = self.server.manifest(self.image, reference, everything);
        answer.await?.manifest()
    }

    async fn platform_of(&self, image: &Manifest) -> Result<Option<Platform>, ClientError> {
        let config = image.config();
        let Some(config) = config.filter(|config| config.size <= LARGEST_CONFIG as u64) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        self.server
            .read_blob(self.image, &config.digest, |piece| {
                bytes.extend_from_slice(piece);
            })
            .await?;
        Ok(Platform::of_config(&bytes).ok())
    }
}
