//! A door to a server of this machine that can be shut: how one test stops "its" upstream.
//!
//! Connections are copied byte for byte. Once shut, new ones are refused and running ones are cut,
//! just as when the server itself has stopped.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use tokio::net::TcpSocket;

use crate::cell::eventually;

/// See the module's head. Shuts itself when dropped.
pub(crate) struct Gate {
    address: SocketAddr,
    passing: Arc<Mutex<Passing>>,
    doorman: Option<JoinHandle<()>>,
    /// Keeps the port from being given to anybody else once the gate is shut: bound, but not
    /// listening.
    barred: Option<TcpSocket>,
}

/// The connections that are open, until the gate is shut.
enum Passing {
    Open(Vec<TcpStream>),
    Shut,
}

impl Gate {
    pub(crate) fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let passing = Arc::new(Mutex::new(Passing::Open(Vec::new())));
        let doorman = thread::spawn({
            let passing = Arc::clone(&passing);
            move || {
                while let Ok((client, _)) = listener.accept() {
                    if !admit(client, server, &passing) {
                        break;
                    }
                }
            }
        });
        Self {
            address,
            passing,
            doorman: Some(doorman),
            barred: None,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// When this returns, connecting is refused and no connection is left.
    pub(crate) fn shut(&mut self) {
        let Some(doorman) = self.doorman.take() else {
            return;
        };
        let before = std::mem::replace(
            &mut *self.passing.lock().expect("not poisoned"),
            Passing::Shut,
        );
        if let Passing::Open(streams) = before {
            for stream in streams {
                // Fails where that side has gone already, which is as good.
                let _ = stream.shutdown(Shutdown::Both);
            }
        }
        // Wakes the doorman, who sees that the gate is shut and lets go of the port.
        let _ = TcpStream::connect(self.address);
        doorman.join().expect("the doorman does not panic");
        self.barred = Some(bar(self.address));
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shut();
    }
}

/// Takes the port once nobody listens there any more. A process that another test is just starting
/// has a copy of every open socket, for the moment until it runs its program.
fn bar(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Connections that were cut still hold the address for a while.
    socket.set_reuseaddr(true).expect("a new socket");
    eventually("the gate's port is free", || socket.bind(address).is_ok());
    socket
}

/// Joins a client to the server; false once the gate is shut.
fn admit(client: TcpStream, server: SocketAddr, passing: &Mutex<Passing>) -> bool {
    let mut passing = passing.lock().expect("not poisoned");
    let Passing::Open(streams) = &mut *passing else {
        return false;
    };
    let Ok(upstream) = TcpStream::connect(server) else {
        return true;
    };
    for (from, to) in [(&client, &upstream), (&upstream, &client)] {
        let (from, to) = (
            from.try_clone().expect("a second handle"),
            to.try_clone().expect("a second handle"),
        );
        thread::spawn(move || carry(from, to));
    }
    streams.extend([client, upstream]);
    true
}

fn carry(mut from: TcpStream, mut to: TcpStream) {
    // However the copy ends, the other side must see the end.
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}
