//! Bytes to a socket and back, for what no HTTP client would send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::wait::within;

/// Sends `bytes` on a new connection and gives back all that comes until the other side closes it.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    within(
        "an answer to raw bytes, and the end of the connection",
        async {
            let mut stream = TcpStream::connect(address).await.expect("it listens");
            stream.write_all(bytes).await.expect("it reads");
            let mut answer = Vec::new();
            // A reset after the answer is an end as good as any.
            let _ = stream.read_to_end(&mut answer).await;
            answer
        },
    )
    .await
}
