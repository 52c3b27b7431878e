//! Whether an admin request is answered: it must call us by a name of ours, and the private routes
//! are for this machine unless the configuration opens them.

use axum::{
    Extension,
    extract::{Request, State},
    http::{StatusCode, header::CONTENT_SECURITY_POLICY},
    middleware::Next,
    response::{IntoResponse, Response},
};
use server::exchange::Interface;

use super::{Admin, console};
use crate::guard::{self, Called};

/// The beginning of the routes that name images.
pub(super) const PRIVATE: &str = "/_archway/";

/// Two routes there that name no image, so they are for all who reach the listener.
pub(super) const INSTANCE: &str = "/_archway/v1/instance";
pub(super) const PROBE: &str = "/_archway/v1/probe";

/// The middleware of all admin routes.
pub(super) async fn admit(
    State(admin): State<Admin>,
    Extension(interface): Extension<Interface>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = match refusal(&admin, interface, &request) {
        Some((status, message)) => (status, message).into_response(),
        None => next.run(request).await,
    };
    // The console's pages say themselves what a browser may do with them.
    if !response.headers().contains_key(CONTENT_SECURITY_POLICY) {
        guard::refuse_rendering(response.headers_mut());
    }
    response
}

fn refusal(
    admin: &Admin,
    interface: Interface,
    request: &Request,
) -> Option<(StatusCode, &'static str)> {
    let config = admin.config.current();
    let settings = &config.admin;
    let is_named = match Called::of(request.uri(), request.headers()) {
        Called::Nothing => true,
        Called::Name(host) => host.is_one_of(&settings.names) || config.is_called(&host),
        Called::Invalid => false,
        Called::Twice => {
            return Some((
                StatusCode::BAD_REQUEST,
                "the request has more than one Host header\n",
            ));
        }
    };
    if !is_named {
        return Some((
            StatusCode::MISDIRECTED_REQUEST,
            "this is no name of the admin listener; to allow it, add it to `names` in [admin]\n",
        ));
    }
    let is_open = interface == Interface::Loopback || settings.images;
    let path = request.uri().path();
    if !is_open && is_private(path) {
        return Some((
            StatusCode::FORBIDDEN,
            "images are listed for this machine alone; to list them for others, set `images = true` in [admin]\n",
        ));
    }
    None
}

/// Whether what is at the path names images.
fn is_private(path: &str) -> bool {
    let is_route = path.starts_with(PRIVATE) && path != INSTANCE && path != PROBE;
    is_route || console::is_page(path)
}
