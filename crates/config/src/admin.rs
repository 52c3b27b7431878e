//! `[admin]`: the listener for health, metrics and the list of images, and the socket that takes
//! changes.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    ops::Range,
    path::{Path, PathBuf},
};

use protocol::host::Host;
use serde::{Serialize, Serializer};
use toml::Spanned;

use crate::{
    meaning::{Meaning, Wrong},
    show,
    table::Table,
};

pub(crate) const DEFAULT_ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);
/// The admin address of no admin listener, and the socket of no socket.
const OFF: &str = "off";
/// The name of the socket in the folder of the cache.
const SOCKET: &str = "admin.sock";

/// The most bytes of a socket's path, as the kernel takes it (`unix(7)`).
pub const MAX_SOCKET_PATH: usize = 107;

/// The listener for health, metrics and the list of images, and the socket that takes changes.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AdminConfig {
    /// Where to listen; port 0 is any free port. `None` when the file turns it `"off"`.
    #[serde(serialize_with = "show_address")]
    pub address: Option<SocketAddr>,
    /// Host names it is called by, beside those that every listener has.
    #[serde(serialize_with = "show::texts")]
    pub names: Vec<Host>,
    /// Whether the list of images is given to connections from beyond this machine.
    pub images: bool,
    /// The Unix socket that takes changes.
    #[serde(skip_serializing_if = "AdminSocket::is_default")]
    pub socket: AdminSocket,
}

/// Where the Unix socket that takes changes is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AdminSocket {
    /// In the folder of the cache, as `admin.sock`.
    #[default]
    InCache,
    /// At this path, which is no longer than [`MAX_SOCKET_PATH`].
    At(PathBuf),
    /// Nowhere.
    Off,
}

/// The section of the file.
pub(crate) struct Admin {
    address: Option<Spanned<AdminAddress>>,
    names: Vec<Host>,
    images: bool,
    socket: AdminSocket,
}

#[derive(Clone, Copy, Debug)]
struct AdminAddress(Option<SocketAddr>);

impl Admin {
    pub(crate) fn read(table: &mut Table<'_>) -> Self {
        Self {
            address: table.spanned("address"),
            names: table.list("names"),
            images: table.flag("images", false),
            socket: table.or("socket", AdminSocket::InCache),
        }
    }

    /// The address that the file names, and its place; the inner `None` turns the listener off.
    pub(crate) fn named(&self) -> Option<(Option<SocketAddr>, Range<usize>)> {
        let address = self.address.as_ref()?;
        Some((address.get_ref().0, address.span()))
    }

    pub(crate) fn into_config(self) -> AdminConfig {
        let address = self.address.map(Spanned::into_inner);
        AdminConfig {
            address: address.map_or(Some(DEFAULT_ADMIN), |AdminAddress(address)| address),
            names: self.names,
            images: self.images,
            socket: self.socket,
        }
    }
}

impl AdminSocket {
    /// Its path, where `folder` is that of the cache.
    pub fn path(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::InCache => Some(folder.join(SOCKET)),
            Self::At(path) => Some(path.clone()),
            Self::Off => None,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::InCache
    }
}

impl Serialize for AdminSocket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::InCache => serializer.serialize_none(),
            Self::At(path) => show::path(path, serializer),
            Self::Off => serializer.serialize_str(OFF),
        }
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference")]
fn show_address<S: Serializer>(
    address: &Option<SocketAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => address.serialize(serializer),
        None => serializer.serialize_str(OFF),
    }
}

impl Meaning for AdminAddress {
    const WHAT: &'static str = "an IP address with a port, or \"off\"";
    const EXAMPLE: &'static str = "\"127.0.0.1:9464\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == OFF {
            return Ok(Self(None));
        }
        SocketAddr::read(text).map(|address| Self(Some(address)))
    }
}

impl Meaning for AdminSocket {
    const WHAT: &'static str = "a path, or \"off\"";
    const EXAMPLE: &'static str = "\"/run/archway/admin.sock\"";

    fn read(text: &str) -> Result<Self, Wrong> {
        if text == OFF {
            return Ok(Self::Off);
        }
        if text.len() > MAX_SOCKET_PATH {
            let wrong = format!(
                "this has {} bytes, and a socket's path at most {MAX_SOCKET_PATH}",
                text.len()
            );
            return Err(
                Wrong::new(wrong).help("name a shorter path, such as \"/run/archway/admin.sock\"")
            );
        }
        PathBuf::read(text).map(Self::At)
    }

    fn placed(self, folder: &Path) -> Self {
        match self {
            Self::At(path) => Self::At(path.placed(folder)),
            other => other,
        }
    }
}
