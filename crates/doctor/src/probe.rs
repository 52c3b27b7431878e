//! The proof that a node's runtime uses this Archway: it pulls a name that no registry has.

use std::{
    fmt,
    time::{Duration, Instant},
};

use futures_util::future::join_all;
use manifest_model::Platform;
use node::Settings;
use protocol::{error_chain::ErrorChain, host::Host};
use url::Url;

use crate::{Cri, CriError, NotOurs, Own};

/// For one pull of some kilobytes. A registry that cannot be reached takes its time to say so.
const PULL_TIMEOUT: Duration = Duration::from_mins(1);

/// What came of a registry's probe.
#[derive(Debug)]
pub struct Probed {
    registry: Host,
    /// The architecture that its images should have, as images call it.
    architecture: String,
    verdict: Verdict,
}

#[derive(Debug)]
enum Verdict {
    /// The image came, for the right architecture if the runtime told one.
    Used { took: Duration, is_told: bool },
    /// The image came, for another.
    WrongArchitecture(String),
    /// The image did not come, so the runtime asked somebody else.
    Bypassed(String),
    /// Archway does not serve this registry.
    NotServed,
}

/// Has the runtime pull a name of each registry that Archway serves, all at once. The images should
/// be of the platform in `settings`, else of this machine's.
pub async fn run(
    own: &Own,
    admin: &Url,
    cri: &Cri,
    settings: &Settings,
) -> Result<Vec<Probed>, NotOurs> {
    let platform = settings.platform.clone().unwrap_or_else(Platform::host);
    let architecture = platform.architecture;
    let probes = settings.registries.names().iter().map(async |registry| {
        let issued = own.issue(admin).await?;
        let verdict = if own.serves(registry, &issued).await? {
            let image = format!("{registry}/{}", issued.image);
            pull(cri, &image, &architecture).await
        } else {
            Verdict::NotServed
        };
        Ok(Probed {
            registry: registry.clone(),
            architecture: architecture.clone(),
            verdict,
        })
    });
    join_all(probes).await.into_iter().collect()
}

async fn pull(cri: &Cri, image: &str, wanted: &str) -> Verdict {
    let start = Instant::now();
    let pulled = match cri.pull(image, PULL_TIMEOUT).await {
        Ok(pulled) => pulled,
        Err(error) => return Verdict::Bypassed(reason(&error)),
    };
    let took = start.elapsed();
    // What is left of it, if anything, the kubelet collects with other unused images.
    let _ = cri.remove(&pulled).await;
    match pulled.architecture {
        Some(architecture) if architecture != wanted => Verdict::WrongArchitecture(architecture),
        told => Verdict::Used {
            took,
            is_told: told.is_some(),
        },
    }
}

fn reason(error: &CriError) -> String {
    let text = ErrorChain(error).to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

impl Probed {
    /// Whether nothing has to be mended.
    pub fn is_good(&self) -> bool {
        matches!(self.verdict, Verdict::Used { .. } | Verdict::NotServed)
    }
}

impl fmt::Display for Probed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let architecture = &self.architecture;
        write!(formatter, "{}: ", self.registry)?;
        match &self.verdict {
            Verdict::Used { took, is_told } => {
                formatter.write_str("uses the mirror")?;
                if *is_told {
                    write!(formatter, ", with images for {architecture}")?;
                }
                write!(formatter, " ({:.1} s)", took.as_secs_f32())
            }
            Verdict::WrongArchitecture(other) => write!(
                formatter,
                "uses the mirror, but gets images for {other}, not {architecture}: mend the platform that its \
                 hosts.toml or its listener names (`archway explain`)"
            ),
            Verdict::Bypassed(reason) => write!(
                formatter,
                "bypasses the mirror: {reason}. `archway client-config status containerd` says whether its files lead here"
            ),
            Verdict::NotServed => write!(
                formatter,
                "is not served by Archway, so its images come from the registry"
            ),
        }
    }
}
