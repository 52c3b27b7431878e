//! The container runtime of a node, asked as the kubelet asks it: the CRI over its Unix socket.
//!
//! The messages are the parts of `k8s.io/cri-api` (`runtime.v1`) that are used here; a reader of
//! protobuf skips the others.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    time::Duration,
};

use http::uri::PathAndQuery;
use prost::Message;
use tonic::{
    Request, Status,
    client::Grpc,
    transport::{Channel, Endpoint},
};
use tonic_prost::ProstCodec;

/// For a question that the runtime answers by itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection to a runtime.
#[derive(Clone, Debug)]
pub struct Cri {
    grpc: Grpc<Channel>,
    socket: PathBuf,
}

/// Why the runtime gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum CriError {
    /// Nobody listens there, or not for us.
    #[error("no container runtime answers at {} ({reason}); name its socket by --cri-socket", socket.display())]
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// Why, as the system says it.
        reason: String,
    },
    /// It answered with an error, which has the reason of a pull that failed.
    #[error("{}", .0.message())]
    Refused(Box<Status>),
    /// It did not answer in time.
    #[error("{} did not answer within {}", socket.display(), humantime::format_duration(*.after))]
    Late {
        /// The socket.
        socket: PathBuf,
        /// How long it had.
        after: Duration,
    },
}

impl CriError {
    /// The transport says the system's words once for each of its layers; the innermost is enough.
    fn unreachable(socket: &Path, error: &tonic::transport::Error) -> Self {
        let mut innermost: &dyn std::error::Error = error;
        while let Some(cause) = innermost.source() {
            innermost = cause;
        }
        Self::Unreachable {
            socket: socket.to_owned(),
            reason: innermost.to_string(),
        }
    }
}

/// What the runtime has pulled.
#[derive(Clone, Debug)]
pub struct PulledImage {
    /// How the runtime calls it.
    pub reference: String,
    /// `architecture` of its configuration.
    pub architecture: Option<String>,
}

impl Cri {
    /// Connects to a socket.
    pub async fn connect(socket: &Path) -> Result<Self, CriError> {
        let unreachable = |error| CriError::unreachable(socket, &error);
        let endpoint = Endpoint::from_shared(format!("unix://{}", socket.display()));
        let endpoint = endpoint.map_err(unreachable)?;
        let late = |_| CriError::Late {
            socket: socket.to_owned(),
            after: ANSWER_TIMEOUT,
        };
        let connected = tokio::time::timeout(ANSWER_TIMEOUT, endpoint.connect()).await;
        Ok(Self {
            grpc: Grpc::new(connected.map_err(late)?.map_err(unreachable)?),
            socket: socket.to_owned(),
        })
    }

    /// The version of the runtime, such as `v2.4.2`.
    pub async fn version(&self) -> Result<String, CriError> {
        let request = VersionRequest {
            version: "v1".to_owned(),
        };
        let path = "/runtime.v1.RuntimeService/Version";
        let answer: VersionResponse = self.ask(path, request, ANSWER_TIMEOUT).await?;
        Ok(answer.runtime_version)
    }

    /// Pulls an image, for the node's own platform, and looks at what came.
    pub async fn pull(&self, image: &str, within: Duration) -> Result<PulledImage, CriError> {
        let named = |image: &str| {
            Some(ImageSpec {
                image: image.to_owned(),
            })
        };
        let request = PullImageRequest {
            image: named(image),
        };
        let path = "/runtime.v1.ImageService/PullImage";
        let pulled: PullImageResponse = self.ask(path, request, within).await?;
        let request = ImageStatusRequest {
            image: named(&pulled.image_ref),
            verbose: true,
        };
        let path = "/runtime.v1.ImageService/ImageStatus";
        // It has come, whether or not the runtime tells more of it.
        let status: ImageStatusResponse = self
            .ask(path, request, ANSWER_TIMEOUT)
            .await
            .unwrap_or_default();
        Ok(PulledImage {
            reference: pulled.image_ref,
            architecture: architecture(&status.info),
        })
    }

    /// Removes an image.
    pub async fn remove(&self, image: &PulledImage) -> Result<(), CriError> {
        let request = RemoveImageRequest {
            image: Some(ImageSpec {
                image: image.reference.clone(),
            }),
        };
        let path = "/runtime.v1.ImageService/RemoveImage";
        let _: Nothing = self.ask(path, request, ANSWER_TIMEOUT).await?;
        Ok(())
    }

    async fn ask<Q, A>(
        &self,
        path: &'static str,
        question: Q,
        within: Duration,
    ) -> Result<A, CriError>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        let unreachable = |error| CriError::unreachable(&self.socket, &error);
        let asked = async {
            grpc.ready().await.map_err(unreachable)?;
            let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::default());
            let answer = grpc.unary(Request::new(question), path, codec).await;
            let answer = answer.map_err(|status| CriError::Refused(Box::new(status)))?;
            Ok(answer.into_inner())
        };
        let late = |_| CriError::Late {
            socket: self.socket.clone(),
            after: within,
        };
        tokio::time::timeout(within, asked).await.map_err(late)?
    }
}

/// The architecture in the verbose status, which containerd gives as JSON in a map of texts.
fn architecture(info: &HashMap<String, String>) -> Option<String> {
    let info: serde_json::Value = serde_json::from_str(info.get("info")?).ok()?;
    let architecture = info.get("imageSpec")?.get("architecture")?;
    architecture.as_str().map(str::to_owned)
}

#[derive(Clone, PartialEq, Message)]
struct VersionRequest {
    #[prost(string, tag = "1")]
    version: String,
}

#[derive(Clone, PartialEq, Message)]
struct VersionResponse {
    #[prost(string, tag = "3")]
    runtime_version: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageSpec {
    #[prost(string, tag = "1")]
    image: String,
}

#[derive(Clone, PartialEq, Message)]
struct PullImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct PullImageResponse {
    #[prost(string, tag = "1")]
    image_ref: String,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
    #[prost(bool, tag = "2")]
    verbose: bool,
}

#[derive(Clone, PartialEq, Message)]
struct ImageStatusResponse {
    #[prost(map = "string, string", tag = "2")]
    info: HashMap<String, String>,
}

#[derive(Clone, PartialEq, Message)]
struct RemoveImageRequest {
    #[prost(message, optional, tag = "1")]
    image: Option<ImageSpec>,
}

#[derive(Clone, PartialEq, Message)]
struct Nothing {}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_is_not_there_is_said_once_with_what_to_do() {
        let connected = Cri::connect(Path::new("/nonexistent/containerd.sock")).await;
        assert_eq!(
            connected.unwrap_err().to_string(),
            "no container runtime answers at /nonexistent/containerd.sock \
             (No such file or directory (os error 2)); name its socket by --cri-socket"
        );
    }
}
