//! The PROXY protocol, versions 1 and 2: before the first byte of its client, a load balancer names
//! that client.
//!
//! Only a trusted peer may send the header, and it must: a listener that took connections with and
//! without it would let anybody behind the same balancer write one.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use ipnet::IpNet;
use ppp::{v1, v2};
use protocol::forwarded;
use tokio::io::{AsyncRead, AsyncReadExt};

/// The length of the prefix of a version 2 header; a version 1 header is longer too.
const PREFIX: usize = v2::PROTOCOL_PREFIX.len();

/// The fixed part of a version 2 header. Its last two bytes hold the length of the rest.
const FIXED: usize = 16;

/// The longest version 1 header, its line end included.
const MAX_V1_HEADER: usize = 107;

/// The longest rest of a version 2 header: addresses, and the extensions of balancers.
const MAX_V2_REST: usize = 4096;

/// The client behind `peer`: the one the header names, or `peer` itself if it is not `trusted` or
/// connects for itself. Reads the header and not a byte more.
pub(super) async fn client(
    stream: &mut (impl AsyncRead + Unpin),
    peer: SocketAddr,
    trusted: &[IpNet],
) -> io::Result<IpAddr> {
    if !forwarded::is_trusted(peer.ip(), trusted) {
        return Ok(peer.ip());
    }
    let mut header = vec![0; PREFIX];
    stream.read_exact(&mut header).await?;
    let named = if header == v2::PROTOCOL_PREFIX {
        binary(stream, header).await?
    } else {
        text(stream, header).await?
    };
    Ok(named.unwrap_or(peer.ip()).to_canonical())
}

async fn binary(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<IpAddr>> {
    header.resize(FIXED, 0);
    stream.read_exact(&mut header[PREFIX..]).await?;
    let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
    if rest > MAX_V2_REST {
        return Err(malformed("its header is too long"));
    }
    header.resize(FIXED + rest, 0);
    stream.read_exact(&mut header[FIXED..]).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(malformed)?;
    // Local: a health check of the balancer itself.
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ends)) => Some(ends.source_address.into()),
        (v2::Command::Proxy, v2::Addresses::IPv6(ends)) => Some(ends.source_address.into()),
        _ => None,
    })
}

async fn text(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> io::Result<Option<IpAddr>> {
    if !header.starts_with(v1::PROTOCOL_PREFIX.as_bytes()) {
        return Err(malformed("a trusted proxy sent no PROXY header"));
    }
    // A byte at a time: the bytes behind the line are the client's.
    while !header.ends_with(b"\r\n") {
        if header.len() == MAX_V1_HEADER {
            return Err(malformed("its header is too long"));
        }
        header.push(stream.read_u8().await?);
    }
    let header = v1::Header::try_from(header.as_slice()).map_err(malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ends) => Some(ends.source_address.into()),
        v1::Addresses::Tcp6(ends) => Some(ends.source_address.into()),
        v1::Addresses::Unknown => None,
    })
}

fn malformed(reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BALANCER: &str = "10.0.0.1:4711";

    async fn read(peer: &str, sent: &[u8]) -> (io::Result<String>, Vec<u8>) {
        let mut stream = sent;
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        let client = client(&mut stream, peer.parse().unwrap(), &trusted).await;
        (client.map(|address| address.to_string()), stream.to_vec())
    }

    fn v2_header(command: v2::Command, source: &str) -> Vec<u8> {
        let (source, own): (SocketAddr, SocketAddr) =
            (source.parse().unwrap(), "10.0.0.9:5000".parse().unwrap());
        v2::Builder::with_addresses(
            v2::Version::Two | command,
            v2::Protocol::Stream,
            (source, own),
        )
        .write_tlv(v2::Type::NoOp, &[0; 300])
        .unwrap()
        .build()
        .unwrap()
    }

    #[tokio::test]
    async fn the_header_names_the_client_and_the_rest_is_the_clients() {
        let texts = [
            ("PROXY TCP4 192.0.2.7 10.0.0.9 1 5000\r\n", "192.0.2.7"),
            ("PROXY TCP6 2001:db8::7 fd00::9 1 5000\r\n", "2001:db8::7"),
            ("PROXY TCP6 ::ffff:192.0.2.7 ::1 1 5000\r\n", "192.0.2.7"),
            ("PROXY UNKNOWN\r\n", "10.0.0.1"),
        ];
        for (header, expected) in texts {
            let sent = format!("{header}GET /v2/ HTTP/1.1\r\n\r\n");
            let (client, rest) = read(BALANCER, sent.as_bytes()).await;
            assert_eq!(client.unwrap(), expected, "{header}");
            assert_eq!(rest, b"GET /v2/ HTTP/1.1\r\n\r\n");
        }
        for (command, expected) in [
            (v2::Command::Proxy, "192.0.2.7"),
            (v2::Command::Local, "10.0.0.1"),
        ] {
            let mut sent = v2_header(command, "192.0.2.7:1");
            sent.extend_from_slice(b"GET /");
            let (client, rest) = read(BALANCER, &sent).await;
            assert_eq!(
                (client.unwrap().as_str(), rest.as_slice()),
                (expected, b"GET /".as_slice())
            );
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_and_what_it_takes_is_bounded(
            version in 0..3_usize,
            rest in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let start: &[u8] = [b"PROXY TCP4 ".as_slice(), v2::PROTOCOL_PREFIX, b""][version];
            let sent = [start, &rest].concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (_, left) = runtime.block_on(read(BALANCER, &sent));
            prop_assert!(sent.len() - left.len() <= FIXED + MAX_V2_REST);
        }
    }

    #[tokio::test]
    async fn a_stranger_speaks_for_itself_and_nothing_is_taken_from_it() {
        let sent = b"PROXY TCP4 10.9.9.9 10.0.0.9 1 5000\r\n";
        let (client, rest) = read("192.0.2.1:4711", sent).await;
        assert_eq!(
            (client.unwrap().as_str(), rest.as_slice()),
            ("192.0.2.1", sent.as_slice())
        );
    }

    #[tokio::test]
    async fn a_trusted_proxy_must_send_a_whole_and_bounded_header() {
        let mut long = v2::PROTOCOL_PREFIX.to_vec();
        long.extend_from_slice(&[0x21, 0x11, 0xff, 0xff]);
        for sent in [
            b"GET /v2/ HTTP/1.1\r\n\r\n".as_slice(),
            b"PROXY TCP4 192.0.2.7",
            b"PROXY TCP4 x 10.0.0.9 1 5000\r\n",
            "PROXY ".repeat(40).as_bytes(),
            b"",
            &long,
        ] {
            assert!(read(BALANCER, sent).await.0.is_err(), "{sent:?}");
        }
    }
}
