//! The vocabulary of OCI registries, and containerd's choice of a platform.
//!
//! The crate owns
//! - a type for every word of a registry: [`Digest`], [`RepoName`], [`Tag`], [`Reference`],
//!   [`MediaType`], [`Platform`]. `FromStr` is the only way in and checks the grammar; `Display` is
//!   its inverse.
//! - the [`Manifest`]: the received bytes, which are the truth, and beside them a lenient view of
//!   their links. A manifest is never serialised again; [`synthesize()`] makes a new index instead.
//! - the choice: [`choose`] picks the entry of an index that containerd would pick for a platform,
//!   which a [`Matcher`] compares.
//!
//! It refuses I/O: it opens no file and no socket, starts no task and knows no HTTP. All other
//! crates depend on it.
//!
//! Read first: `digest.rs`, a type with one way in; `manifest.rs`, then `manifest/children.rs` for
//! the checks; `platform/matcher.rs`, then `select.rs` for the choice.
//!
//! ```
//! use manifest_model::{Algorithm, Choice, Manifest, Matcher, Platform, choose};
//!
//! let body = r#"{"schemaVersion":2,"manifests":[{
//!     "mediaType":"application/vnd.oci.image.manifest.v1+json","size":2,
//!     "digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
//!     "platform":{"os":"linux","architecture":"arm","variant":"v6"}}]}"#;
//! let index = Manifest::parse(body.into(), None, Algorithm::Sha256)?;
//! let wanted: Platform = "linux/armhf".parse()?;
//! assert_eq!(wanted.to_string(), "linux/arm/v7");
//! let Choice::Manifest(entry) = choose(index.entries(), &Matcher::new(&wanted)) else {
//!     panic!("v7 runs v6")
//! };
//! assert_eq!(entry.size, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod descriptor;
mod digest;
mod error;
mod image_config;
mod json;
mod limits;
mod manifest;
mod media_type;
mod name;
mod platform;
mod reference;
mod repository;
mod select;
mod spans;
mod synthesize;
mod tag;
pub mod user_agent;

pub use descriptor::Descriptor;
pub use digest::{Algorithm, Digest, hasher::Hasher};
pub use error::{Ambiguity, ManifestError, ParseError, Word};
pub use image_config::ImageConfig;
pub use limits::{MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES};
pub use manifest::Manifest;
pub use media_type::MediaType;
pub use name::RepoName;
pub use platform::{
    Platform,
    matcher::{Fallbacks, Matcher},
};
pub use reference::Reference;
pub use repository::RepoKey;
pub use select::{Choice, Verdict, choose, offered, verdicts};
pub use spans::Spans;
pub use synthesize::{SOURCES, SYNTHETIC, Source, SynthesisError, synthesize, synthesized_from};
pub use tag::Tag;
