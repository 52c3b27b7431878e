//! What a client machine needs to use Archway: its configuration, found, written and judged.
//!
//! [`family`] has the files of each kind of client, as text, and writes them into a tree. It reads
//! nothing else: what is needed of a certificate arrives as text. [`containerd`] looks at a node and
//! changes it.
//!
//! Refuses command lines, and the question what a request means to Archway.

pub mod containerd;
pub mod family;
mod mirror;
mod settings;

pub use self::{
    mirror::{Mirror, MirrorError},
    settings::{Authority, AuthorityError, Registries, Settings},
};
