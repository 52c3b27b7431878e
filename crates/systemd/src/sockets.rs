//! Socket activation: listening sockets that were there before the process.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use listenfd::ListenFd;
use rustix::net::sockopt;

/// The sockets that the service manager has handed over and that nobody has taken yet.
#[derive(Debug, Default)]
pub struct HandedSockets(Vec<(SocketAddr, TcpListener)>);

/// Why a socket that was handed over cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "of the sockets handed over, number {number} takes no TCP connections: remove it from the unit's sockets"
)]
pub struct HandedSocketsError {
    /// Its place among them, from 1 on.
    number: usize,
    source: io::Error,
}

impl HandedSockets {
    /// Takes them from the environment, which forgets them: so only once, and before there is a
    /// second thread.
    pub fn from_environment() -> Result<Self, HandedSocketsError> {
        let mut handed = ListenFd::from_env();
        let sockets = (0..handed.len()).map(|at| {
            socket(&mut handed, at).map_err(|source| HandedSocketsError {
                number: at + 1,
                source,
            })
        });
        sockets.collect::<Result<_, _>>().map(Self)
    }

    /// The socket for a listener at `address`, whatever the unit calls it. One for every address
    /// of IPv6 takes the place of one for every address of IPv4, and the other way round: systemd
    /// opens the former for a bare port.
    pub fn take(&mut self, address: SocketAddr) -> Option<TcpListener> {
        let exact = self.0.iter().position(|(own, _)| *own == address);
        let at = exact.or_else(|| self.0.iter().position(|(own, _)| are_all(*own, address)))?;
        Some(self.0.swap_remove(at).1)
    }

    /// The address of one that nobody has taken.
    pub fn left(&self) -> Option<SocketAddr> {
        self.0.first().map(|(address, _)| *address)
    }
}

fn socket(handed: &mut ListenFd, at: usize) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = handed.take_tcp_listener(at)?;
    let socket = socket.expect("each is taken once");
    if !sockopt::socket_acceptconn(&socket)? {
        // As of a unit with `Accept=yes`.
        return Err(io::Error::other("it is one connection, and not listening"));
    }
    Ok((socket.local_addr()?, socket))
}

fn are_all(one: SocketAddr, other: SocketAddr) -> bool {
    one.port() == other.port() && one.ip().is_unspecified() && other.ip().is_unspecified()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bound(address: &str) -> (SocketAddr, TcpListener) {
        let socket = TcpListener::bind(address).unwrap();
        (socket.local_addr().unwrap(), socket)
    }

    #[test]
    fn a_socket_is_found_by_its_address_once() {
        let (first, second) = (bound("127.0.0.1:0"), bound("127.0.0.1:0"));
        let (address, other) = (second.0, first.0);
        let mut sockets = HandedSockets(vec![first, second]);
        let taken = sockets.take(address).unwrap();
        assert_eq!(taken.local_addr().unwrap(), address);
        assert!(sockets.take(address).is_none());
        assert_eq!(sockets.left(), Some(other));
    }

    #[test]
    fn a_socket_on_every_address_serves_either_family() {
        let socket = bound("[::]:0");
        let port = socket.0.port();
        let mut sockets = HandedSockets(vec![socket]);
        assert!(sockets.take(([127, 0, 0, 1], port).into()).is_none());
        assert!(sockets.take(([0, 0, 0, 0], port).into()).is_some());
        assert_eq!(sockets.left(), None);
    }
}
