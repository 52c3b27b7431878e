//! Where the list of members comes from.

use std::time::Duration;

use config::{Discover, ReplicasConfig};
use hickory_resolver::{TokioResolver, net::NetError};

use crate::view::MemberName;

/// How long a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(3);

/// Where the list of members comes from.
pub(crate) enum Discovery {
    /// The configuration.
    Static(Vec<MemberName>),
    /// The addresses of a name, such as a headless Service of Kubernetes has: those that are ready.
    Dns { name: String, port: u16 },
}

impl Discovery {
    pub(crate) fn new(config: &ReplicasConfig) -> Self {
        match &config.discover {
            Discover::Static => {
                let members = config.members.iter();
                Self::Static(members.map(|member| member.as_str().into()).collect())
            }
            Discover::Dns { name, port } => Self::Dns {
                name: name.clone(),
                port: port.unwrap_or(config.listen.port()),
            },
        }
    }

    /// The members as they are now.
    pub(crate) async fn names(&self) -> Result<Vec<MemberName>, NetError> {
        match self {
            Self::Static(names) => Ok(names.clone()),
            Self::Dns { name, port } => addresses(name, *port).await,
        }
    }
}

/// The addresses of a name, asked for anew: the resolver of the system may repeat old answers for half
/// a minute. Its settings are read each time, since a pod's may change.
async fn addresses(name: &str, port: u16) -> Result<Vec<MemberName>, NetError> {
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.cache_size = 0;
    options.timeout = LOOKUP_TIMEOUT;
    let found = builder.build()?.lookup_ip(name).await?;
    let addresses = found.iter().map(|ip| std::net::SocketAddr::new(ip, port));
    let mut names: Vec<_> = addresses
        .map(|address| MemberName::from(address.to_string().as_str()))
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
