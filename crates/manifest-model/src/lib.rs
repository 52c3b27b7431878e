//! The vocabulary of OCI registries, and containerd's choice of a platform.
//!
//! Every word a registry speaks has a type here: [`Digest`], [`RepoName`], [`Tag`], [`Reference`], [`MediaType`],
//! [`Platform`]. Text becomes one of them by `FromStr`, which checks its grammar, and text again by `Display`.
//! A [`Manifest`] keeps the bytes it was received as, which are the truth, and beside them a lenient view of what they
//! link to; it is never written out again. [`synthesize()`] makes a new index of images that have none. [`choose`] picks
//! the entry of an index that containerd would pick for a [`Platform`], by way of a [`Matcher`].
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
//! let Choice::Manifest(entry) = choose(index.entries(), &Matcher::new(&wanted)) else { panic!("v7 runs v6") };
//! assert_eq!(entry.size, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The crate is pure: it opens no file and no socket, starts no task and knows no HTTP.

mod descriptor;
mod digest;
mod error;
mod image_config;
mod json;
mod manifest;
mod media_type;
mod name;
mod platform;
mod reference;
mod select;
mod synthesize;
mod tag;
pub mod user_agent;

pub use descriptor::Descriptor;
pub use digest::hasher::Hasher;
pub use digest::{Algorithm, Digest};
pub use error::{DescriptorError, ManifestError, ParseError, Word};
pub use image_config::ImageConfig;
pub use manifest::Manifest;
pub use manifest::limits::{MAX_INDEX_DEPTH, MAX_MANIFEST_BYTES};
pub use media_type::MediaType;
pub use name::RepoName;
pub use platform::Platform;
pub use platform::matcher::{Fallbacks, Matcher};
pub use reference::Reference;
pub use select::{Choice, Verdict, choose, offered, verdicts};
pub use synthesize::{SOURCES, SYNTHETIC, Source, SynthesisError, synthesize, synthesized_from};
pub use tag::Tag;
