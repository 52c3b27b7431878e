//! Logins of our own at registries: passwords as their place has them now, and what docker's config
//! and its credential helpers hold.
//!
//! It knows no registry and asks none; `upstream` decides where a login goes. No error and no
//! `Debug` shows a secret.

mod docker_config;
mod error;
mod go_json;
mod header;
mod secret;

use std::{fmt, sync::Arc};

use http::HeaderValue;

#[cfg(fuzzing)]
pub use self::docker_config::fuzz_docker_config;
pub use self::{
    docker_config::login as of_docker,
    error::{LoginEntryError, LoginError},
    go_json::{GoObject, NotText},
    header::{basic, sensitive},
    secret::Secret,
};

/// A proof of identity.
#[derive(Clone, PartialEq)]
pub enum Login {
    /// Name and password as an `Authorization` header.
    Basic(HeaderValue),
    /// docker's "identity token": an OAuth 2 refresh token, which only a realm takes.
    IdentityToken(Arc<str>),
}

/// Prints no secret.
impl fmt::Debug for Login {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Basic(_) => "Basic",
            Self::IdentityToken(_) => "IdentityToken",
        })
    }
}
