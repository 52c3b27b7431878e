//! What asks a running Archway, over HTTP or its Unix socket, or an upstream itself.
//!
//! It owns the requests of the commands about images and the choice of an image for a platform. It
//! knows nothing of flags and output; `archway` does.

mod address;
mod answer;
mod choice;
mod error;
mod import;
mod server;
mod socket;
mod upstream;
mod watch;

pub use self::{
    error::{ClientError, InvalidAnswer},
    import::{HeldBlobs, ImportSocket},
    server::{Server, accepting},
    socket::ControlSocket,
    upstream::UpstreamRepository,
    watch::Watch,
};
