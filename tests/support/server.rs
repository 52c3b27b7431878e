//! A real HTTP server on a free loopback port, under every double: HTTP/1.1, or HTTP/2 where that
//! is spoken at once.
//!
//! It owns what can go wrong below HTTP: a port that refuses and comes back ([`Server::close`],
//! [`Server::reopen`]) and a connection that ends with a reset ([`Connection::reset`]).

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustix::net::{Shutdown, shutdown};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What a double answers with; an error in it breaks the connection.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is at hand.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    http_body_util::Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed_unsync()
}

type Handler =
    Arc<dyn Fn(Request<Incoming>, Connection) -> BoxFuture<'static, Response<Body>> + Send + Sync>;

/// A listening server; clones are handles to the same one. It ends with the test's runtime.
///
/// While there is a handle, its port is nobody else's, closed or not.
#[derive(Clone)]
pub struct Server {
    address: SocketAddr,
    /// Bound, and never listening: the kernel gives the port to nobody who asks for a free one,
    /// refuses who connects, and lets those listen here who name the port.
    _port: Arc<TcpSocket>,
    handler: Handler,
    running: Arc<Mutex<CancellationToken>>,
    tasks: TaskTracker,
}

impl Server {
    /// Listens on a free port of 127.0.0.1 and answers each request with what `handler` gives.
    pub async fn start<F>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>, Connection) -> BoxFuture<'static, Response<Body>>
            + Send
            + Sync
            + 'static,
    {
        Self::start_at(([127, 0, 0, 1], 0).into(), handler).await
    }

    /// The same at another address of this machine.
    pub async fn start_at<F>(address: SocketAddr, handler: F) -> Self
    where
        F: Fn(Request<Incoming>, Connection) -> BoxFuture<'static, Response<Body>>
            + Send
            + Sync
            + 'static,
    {
        let port = hold(address);
        let address = port.local_addr().expect("a bound socket has an address");
        let listener = TcpListener::bind(address)
            .await
            .expect("the port that is held");
        let server = Self {
            address,
            _port: Arc::new(port),
            handler: Arc::new(handler),
            running: Arc::default(),
            tasks: TaskTracker::new(),
        };
        server.run(listener);
        server
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops listening and drops every connection. From the return on, connecting is refused.
    pub async fn close(&self) {
        self.running.lock().expect("no panic under it").cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.tasks.reopen();
    }

    /// Listens on the same port again after [`Server::close`].
    pub async fn reopen(&self) {
        let listener = TcpListener::bind(self.address)
            .await
            .expect("the port the server had");
        *self.running.lock().expect("no panic under it") = CancellationToken::new();
        self.run(listener);
    }

    fn run(&self, listener: TcpListener) {
        let stop = self.running.lock().expect("no panic under it").clone();
        let (handler, tasks) = (Arc::clone(&self.handler), self.tasks.clone());
        self.tasks.spawn(async move {
            while let Some(Ok((stream, _))) = stop.run_until_cancelled(listener.accept()).await {
                let serving = serve(stream, Arc::clone(&handler));
                let stop = stop.clone();
                tasks.spawn(async move {
                    stop.run_until_cancelled(serving).await;
                });
            }
            // A process that another thread is starting has a copy of every descriptor until its
            // exec, and with the copy a socket that is merely dropped would go on listening.
            shutdown(&listener, Shutdown::Both).expect("a listening socket");
        });
    }
}

fn hold(address: SocketAddr) -> TcpSocket {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    };
    let socket = socket.expect("a socket");
    // Without this on every socket of the port, no second one could be bound to it.
    socket.set_reuseaddr(true).expect("a fresh socket");
    socket.bind(address).expect("a free loopback port");
    socket
}

async fn serve(stream: TcpStream, handler: Handler) {
    let connection = Connection::default();
    let wire = Wire {
        stream,
        connection: connection.clone(),
    };
    let service = service_fn(move |request| {
        let answer = handler(request, connection.clone());
        async move { Ok::<_, Infallible>(answer.await) }
    });
    // An error here is a client that left or a body that was told to break: both are intended.
    let _ = auto::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(wire), service)
        .await;
}

/// A handle to the TCP connection a request came in on.
#[derive(Clone, Default)]
pub struct Connection {
    state: Arc<ConnectionState>,
}

#[derive(Default)]
struct ConnectionState {
    blocked: AtomicBool,
    reset: AtomicBool,
}

impl Connection {
    /// Makes the connection end with RST instead of FIN; what the kernel had not sent yet is lost.
    pub fn reset(&self) {
        self.state.reset.store(true, Ordering::Relaxed);
    }

    /// Waits until all that the body has given so far is with the kernel. Called from within a
    /// body.
    pub async fn flushed(&self) {
        // The server flushes whenever the body has nothing for it, so one pause hands it the turn.
        tokio::task::yield_now().await;
        while self.state.blocked.load(Ordering::Relaxed) {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

/// The socket, watched: it knows when writing would block, and how it is to end.
struct Wire {
    stream: TcpStream,
    connection: Connection,
}

impl Wire {
    fn note<T>(&self, poll: Poll<T>) -> Poll<T> {
        self.connection
            .state
            .blocked
            .store(poll.is_pending(), Ordering::Relaxed);
        poll
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.state.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
