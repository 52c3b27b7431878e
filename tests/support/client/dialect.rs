//! Clients that come over TLS.

use reqwest::{Certificate, tls};

use super::Client;
use crate::tls::Authority;

/// Which versions a client speaks, and no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// Of TLS.
    pub tls: Tls,
    /// Of HTTP, as agreed on in the handshake.
    pub http: Http,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// What old clients speak.
    V12,
    /// What current ones speak.
    V13,
}

/// A version of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1.
    One,
    /// HTTP/2, offered beside HTTP/1.1 as all clients do.
    Two,
}

impl Dialect {
    /// All there are.
    pub const ALL: [Self; 4] = [
        Self::new(Tls::V12, Http::One),
        Self::new(Tls::V12, Http::Two),
        Self::new(Tls::V13, Http::One),
        Self::new(Tls::V13, Http::Two),
    ];

    /// This pair.
    pub const fn new(tls: Tls, http: Http) -> Self {
        Self { tls, http }
    }
}

impl Client {
    /// A client of `base`, that is `https://HOST:PORT`, which trusts this authority alone.
    pub fn over_tls(base: &str, authority: &Authority, dialect: Dialect) -> Self {
        let trusted = Certificate::from_pem(authority.pem().as_bytes()).expect("PEM");
        let version = match dialect.tls {
            Tls::V12 => tls::Version::TLS_1_2,
            Tls::V13 => tls::Version::TLS_1_3,
        };
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([trusted])
            .tls_version_min(version)
            .tls_version_max(version);
        if dialect.http == Http::One {
            builder = builder.http1_only();
        }
        Self::with_builder(base, builder)
    }
}
