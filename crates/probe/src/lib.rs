//! The proof that a client uses this Archway, and no other and no registry.
//!
//! [`Instance`] is one start of Archway: an id that it shows, and a key that nobody knows but the
//! replicas that share it. With the key it makes names of images, `archway-probe/NONCE`, which it
//! knows again for some minutes and stores nowhere. A pull of such a name, of any registry, can
//! succeed only through this Archway: no registry has it. [`ProbeImage`] is what the name means, an
//! index of one tiny program for each architecture, so that running it proves the platform too.
//!
//! Refuses HTTP and clocks: the caller has both.

mod image;
mod instance;
mod program;
mod tar;

pub use self::{
    image::{Part, ProbeImage},
    instance::{Instance, Issued, NONCE_LIFETIME},
};

use manifest_model::RepoName;

/// The first part of the reserved names, which are never asked of an upstream.
pub const REPOSITORY: &str = "archway-probe";

/// The only tag of an image of the probe.
pub const TAG: &str = "1";

/// The nonce in a reserved name, right or wrong; `None` for any other name.
pub fn nonce_of(name: &RepoName) -> Option<&str> {
    let nonce = name.as_str().strip_prefix(REPOSITORY)?.strip_prefix('/')?;
    (!nonce.contains('/')).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_two_parts_are_a_reserved_name() {
        let nonce = |name: &str| nonce_of(&name.parse().unwrap()).map(str::to_owned);
        assert_eq!(nonce("archway-probe/abc"), Some("abc".into()));
        for other in [
            "archway-probe",
            "archway-probe/a/b",
            "archway-probes/a",
            "x/archway-probe/a",
        ] {
            assert_eq!(nonce(other), None, "{other}");
        }
    }
}
