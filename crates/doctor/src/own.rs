//! Whether the Archway behind a listener is the one that is meant, and not another program on its
//! port.
//!
//! Each start of Archway has an id, which it shows on a ping and on its admin listener. A mark that
//! somebody else shows at the one is not what the other says.

use std::time::Duration;

use node::Settings;
use probe::Issued;
use protocol::{error_body, headers, host::Host};
use reqwest::{Certificate, Client, Response, redirect::Policy};
use serde::de::DeserializeOwned;
use url::Url;

/// For each of the two questions. Whoever is near answers at once; a listener that hangs would hang
/// every pull of the node as well.
const TIMEOUT: Duration = Duration::from_secs(3);

/// The Archway that is meant, by its two listeners.
#[derive(Clone, Debug)]
pub struct Own {
    http: Client,
    server: String,
    /// None: the mark on a ping is believed.
    admin: Option<String>,
}

/// Why it is not the one that is meant.
#[derive(Debug, thiserror::Error)]
pub enum NotOurs {
    /// The certificate authority cannot be used.
    #[error("the certificate authority cannot be used")]
    Authority(#[source] reqwest::Error),
    /// No answer, or none in time.
    #[error("nothing answers at {url} within {} s", TIMEOUT.as_secs())]
    Silent {
        /// Where.
        url: String,
        /// Why.
        source: reqwest::Error,
    },
    /// Somebody answers who is not Archway.
    #[error(
        "another program answers at {url} (status {status}); give Archway that port, or name another by --server"
    )]
    Foreign {
        /// Where.
        url: String,
        /// With what.
        status: http::StatusCode,
    },
    /// The admin listener does not answer as one.
    #[error(
        "{url} is no admin listener of Archway (status {status}); name it by --admin, or believe the mark alone with --without-admin"
    )]
    NoAdmin {
        /// Where.
        url: String,
        /// With what.
        status: http::StatusCode,
    },
    /// Two Archways.
    #[error(
        "{server} and {admin} are two different Archways; name the admin listener of the first by --admin"
    )]
    Different {
        /// The registry listener.
        server: String,
        /// The admin listener.
        admin: String,
    },
}

/// What another program sends is read no further.
const MAX_BODY: usize = 64 * 1024;

#[derive(serde::Deserialize)]
struct Who {
    instance: String,
}

impl Own {
    /// The Archway at the mirror of `settings` and at this admin listener.
    pub fn new(settings: &Settings, admin: Option<&Url>) -> Result<Self, NotOurs> {
        let mut builder = Client::builder()
            // Archway is in the local network, which an outgoing proxy does not reach.
            .no_proxy()
            .redirect(Policy::none())
            .timeout(TIMEOUT)
            .user_agent(concat!("archway-command/", env!("CARGO_PKG_VERSION")));
        if let Some(authority) = &settings.authority {
            let roots = Certificate::from_pem_bundle(authority.pem().as_bytes());
            builder = builder.tls_certs_merge(roots.map_err(NotOurs::Authority)?);
        }
        Ok(Self {
            http: builder.build().map_err(NotOurs::Authority)?,
            server: settings.mirror.to_string(),
            admin: admin.map(|url| url.as_str().trim_end_matches('/').to_owned()),
        })
    }

    /// Asks both listeners.
    pub async fn prove(&self) -> Result<(), NotOurs> {
        let url = format!("{}/v2/", self.server);
        let answer = self.get(&url).await?;
        let mark = answer.headers().get(headers::ARCHWAY_INSTANCE).cloned();
        let status = answer.status();
        let Some(mark) = mark.filter(|_| status.is_success()) else {
            return Err(NotOurs::Foreign { url, status });
        };
        let Some(admin) = &self.admin else {
            return Ok(());
        };
        let who: Who = self.ask_admin(admin, "instance").await?;
        if mark.as_bytes() == who.instance.as_bytes() {
            Ok(())
        } else {
            Err(NotOurs::Different {
                server: self.server.clone(),
                admin: admin.clone(),
            })
        }
    }

    /// As [`Self::prove`], and where the listener is of another start, by a name: of replicas that share a
    /// secret each knows what another has issued.
    pub async fn prove_by_name(&self, admin: &Url, registries: &[Host]) -> Result<(), NotOurs> {
        let different = match self.prove().await {
            Err(different @ NotOurs::Different { .. }) => different,
            other => return other,
        };
        let issued = self.issue(admin).await?;
        for registry in registries {
            if self.probe(registry, &issued).await?.status().is_success() {
                return Ok(());
            }
        }
        Err(different)
    }

    /// A name that only this Archway can answer, from its admin listener.
    pub async fn issue(&self, admin: &Url) -> Result<Issued, NotOurs> {
        self.ask_admin(admin.as_str().trim_end_matches('/'), "probe")
            .await
    }

    /// Whether the listener serves this registry. One that refuses an issued name for another reason
    /// does: a pull shows what comes of that.
    pub async fn serves(&self, registry: &Host, issued: &Issued) -> Result<bool, NotOurs> {
        let answer = self.probe(registry, issued).await?;
        if answer.status() != http::StatusCode::NOT_FOUND {
            return Ok(true);
        }
        let url = answer.url().to_string();
        let body = whole(answer).await;
        let body = body.map_err(|source| NotOurs::Silent { url, source })?;
        Ok(error_body::Read::parse(&body).code != error_body::Code::NameUnknown.as_str())
    }

    /// What the listener says of an issued name of a registry.
    async fn probe(&self, registry: &Host, issued: &Issued) -> Result<Response, NotOurs> {
        let (name, tag) = issued.image.split_once(':').unwrap_or((&issued.image, ""));
        let url = format!("{}/v2/{name}/manifests/{tag}?ns={registry}", self.server);
        self.get(&url).await
    }

    async fn ask_admin<T: DeserializeOwned>(&self, admin: &str, what: &str) -> Result<T, NotOurs> {
        let url = format!("{admin}/_archway/v1/{what}");
        let answer = self.get(&url).await?;
        let status = answer.status();
        let body = whole(answer).await;
        let body = body.map_err(|source| NotOurs::Silent {
            url: url.clone(),
            source,
        })?;
        serde_json::from_slice(&body).map_err(|_| NotOurs::NoAdmin { url, status })
    }

    async fn get(&self, url: &str) -> Result<Response, NotOurs> {
        let answer = self.http.get(url).send().await;
        answer.map_err(|source| NotOurs::Silent {
            url: url.to_owned(),
            source: source.without_url(),
        })
    }
}

/// The body, up to its bound.
async fn whole(mut answer: Response) -> Result<Vec<u8>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await? {
        if body.len() + piece.len() > MAX_BODY {
            break;
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}
