//! The Unix socket: made for its owner alone, in place of one that a dead process left behind.

use std::{
    fs::{self, Permissions},
    io,
    os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use axum::{Extension, Router};
use config::MAX_SOCKET_PATH;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use server::exchange::Interface;
use tokio::{
    net::{UnixListener, UnixSocket, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, info, warn};

use crate::descriptors::{Handed, TakingFiles};

/// Connections at once: an operator has one.
pub const SOCKET_CONNECTIONS: usize = 16;

/// Connections that the kernel lets wait for one of those.
const BACKLOG: u32 = 64;

/// How long a connection may take to send the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// The pause after a failed `accept`. Mostly it fails for lack of file descriptors, which passes.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(100);

/// Its owner reads and writes; nobody else.
const MODE: u32 = 0o600;

/// A listening socket. Its file goes when this is dropped.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    file: SocketFile,
}

/// Why there is no socket.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// Another process listens there.
    #[error("another process listens on {}; name another path in `socket` of [admin]", path.display())]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else has that name.
    #[error("{} is no socket; remove it, or name another path in `socket` of [admin]", path.display())]
    NotASocket {
        /// The file.
        path: PathBuf,
    },
    /// The kernel takes no such path.
    #[error("the path {} has more than {MAX_SOCKET_PATH} bytes, the most for a socket; set `socket` of [admin] to a shorter one", path.display())]
    TooLong {
        /// The path.
        path: PathBuf,
    },
    /// The system refused it.
    #[error("cannot make the socket {}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The file of a socket that this process has made.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: Option<u64>,
}

impl Socket {
    /// Makes the socket with mode 0600. One that a dead process left behind is replaced, that of a
    /// living one is not.
    pub async fn bind(path: &Path) -> Result<Self, SocketError> {
        if path.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(SocketError::TooLong { path: path.into() });
        }
        let io = |source| SocketError::Io {
            path: path.into(),
            source,
        };
        clear(path).await?;
        let socket = UnixSocket::new_stream().map_err(io)?;
        socket.bind(path).map_err(io)?;
        let file = SocketFile::at(path);
        // Before it listens: nobody can have connected with the mode it was made with.
        fs::set_permissions(path, Permissions::from_mode(MODE)).map_err(io)?;
        let listener = socket.listen(BACKLOG).map_err(io)?;
        Ok(Self { listener, file })
    }

    /// Serves HTTP/1.1 until `stop` is cancelled, then until running requests have ended. Those that
    /// still run when the runtime ends are cut.
    pub async fn serve(self, routes: Router, stop: CancellationToken) {
        info!(path = %self.file.path.display(), "listening on the admin socket");
        // Whoever can open it is on this machine.
        let routes = routes.layer(Extension(Interface::Loopback));
        let (places, tasks) = (
            Arc::new(Semaphore::new(SOCKET_CONNECTIONS)),
            TaskTracker::new(),
        );
        let (http, graceful) = (builder(), GracefulShutdown::new());
        loop {
            let next = stop.run_until_cancelled(self.accept(&places));
            let Some((stream, place)) = next.await else {
                break;
            };
            let handed = Handed::default();
            let routes = routes.clone().layer(Extension(handed.clone()));
            let service = TowerToHyperService::new(routes);
            let stream = TokioIo::new(TakingFiles::new(stream, handed));
            let connection = http.serve_connection(stream, service);
            let connection = graceful.watch(connection.into_owned());
            tasks.spawn(async move {
                if let Err(error) = connection.await {
                    debug!(%error, "a connection to the admin socket broke");
                }
                drop(place);
            });
        }
        // No new question meets a process that is about to end.
        drop(self);
        tasks.close();
        graceful.shutdown().await;
        tasks.wait().await;
    }

    async fn accept(&self, places: &Arc<Semaphore>) -> (UnixStream, OwnedSemaphorePermit) {
        loop {
            let place = Arc::clone(places).acquire_owned().await;
            let place = place.expect("never closed");
            match self.listener.accept().await {
                Ok((stream, _)) => return (stream, place),
                Err(error) => {
                    warn!(%error, "cannot accept a connection to the admin socket");
                    tokio::time::sleep(ACCEPT_BACKOFF).await;
                }
            }
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT);
    builder
}

/// Removes a socket nobody listens on.
async fn clear(path: &Path) -> Result<(), SocketError> {
    let io = |source| SocketError::Io {
        path: path.into(),
        source,
    };
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io(error)),
        Ok(found) if !found.file_type().is_socket() => {
            return Err(SocketError::NotASocket { path: path.into() });
        }
        Ok(_) => {}
    }
    // Never blocks: somebody whose queue is full may be one that hangs.
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            fs::remove_file(path).map_err(io)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        // A full queue is one that somebody has opened.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(SocketError::InUse { path: path.into() })
        }
        Err(error) => Err(io(error)),
        Ok(_) => Err(SocketError::InUse { path: path.into() }),
    }
}

impl SocketFile {
    fn at(path: &Path) -> Self {
        Self {
            path: path.into(),
            inode: inode(path),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have replaced it.
        if self.inode.is_some() && inode(&self.path) == self.inode {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn inode(path: &Path) -> Option<u64> {
    let found = fs::symlink_metadata(path).ok()?;
    Some(found.ino())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(folder: &tempfile::TempDir) -> PathBuf {
        folder.path().join("admin.sock")
    }

    #[tokio::test]
    async fn its_owner_alone_may_open_it_and_it_goes_with_its_process() {
        let folder = tempfile::tempdir().unwrap();
        let socket = Socket::bind(&path(&folder)).await.unwrap();
        let mode = fs::metadata(path(&folder)).unwrap().mode();
        assert_eq!(mode & 0o777, MODE);
        drop(socket);
        assert!(!path(&folder).exists());
    }

    #[tokio::test]
    async fn one_that_a_dead_process_left_is_replaced_and_a_living_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        // Closed without its file being removed, as by `kill -9`.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        let living = Socket::bind(&path).await.unwrap();
        let second = Socket::bind(&path).await;
        assert!(
            matches!(second, Err(SocketError::InUse { .. })),
            "{second:?}"
        );
        assert!(UnixStream::connect(&path).await.is_ok());
        drop(living);
    }

    #[tokio::test]
    async fn nobody_waits_for_one_that_hangs_with_a_full_queue() {
        let folder = tempfile::tempdir().unwrap();
        let path = path(&folder);
        let hangs = UnixSocket::new_stream().unwrap();
        hangs.bind(&path).unwrap();
        let _hangs = hangs.listen(1).unwrap();
        let mut queue = Vec::new();
        while let Ok(waiting) = UnixStream::connect(&path).await {
            queue.push(waiting);
        }
        let second = Socket::bind(&path).await;
        assert!(
            matches!(second, Err(SocketError::InUse { .. })),
            "{second:?}"
        );
    }

    #[tokio::test]
    async fn what_is_no_socket_stays_and_a_path_beyond_the_kernels_is_named() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(path(&folder), "precious").unwrap();
        let refused = Socket::bind(&path(&folder)).await;
        assert!(
            matches!(refused, Err(SocketError::NotASocket { .. })),
            "{refused:?}"
        );
        assert_eq!(fs::read(path(&folder)).unwrap(), b"precious");
        let long = folder.path().join("x".repeat(MAX_SOCKET_PATH));
        let refused = Socket::bind(&long).await;
        assert!(
            matches!(refused, Err(SocketError::TooLong { .. })),
            "{refused:?}"
        );
    }
}
