//! What a person means by the name of an image, who may have copied it from a client: with Archway's
//! own address before it, under a virtual host, or without a registry.

use protocol::{host::Host, image_name::ImageName};

use crate::{Config, Listener};

impl Config {
    /// The image that a person means by this name, and its upstream, which it names. A virtual host
    /// may stand for the upstream; no host is the upstream of the listener whose name stands before
    /// the image, or the default one.
    pub fn meant(&self, image: &ImageName) -> (Host, ImageName) {
        let own = image.host.as_ref().filter(|host| self.is_own(host));
        let listener = own.and_then(|host| self.listener_called(host));
        let image = match own {
            Some(_) => image.behind_host(),
            None => image.clone(),
        };
        let upstream = match &image.host {
            Some(host) => self
                .upstreams
                .by_virtual_host(host)
                .unwrap_or_else(|| host.clone()),
            None => listener
                .and_then(|listener| listener.upstream.clone())
                .unwrap_or_else(|| self.default_upstream.clone()),
        };
        let image = ImageName {
            host: Some(upstream.clone()),
            ..image
        };
        (upstream, image)
    }

    /// Whether a host names Archway itself, and no upstream.
    pub fn is_own(&self, host: &Host) -> bool {
        let is_named = |listener: &Listener| host.is_one_of(&listener.access.names);
        self.upstreams.find(host).is_none()
            && self.upstreams.by_virtual_host(host).is_none()
            && (self.is_called(host) || self.listeners.iter().any(is_named))
    }

    /// The listener with this port, or this name.
    fn listener_called(&self, host: &Host) -> Option<&Listener> {
        let port = host.as_str().strip_prefix(host.name());
        let port = port.and_then(|port| port.strip_prefix(':')?.parse::<u16>().ok());
        let has_port = |listener: &&Listener| port == Some(listener.address.port());
        let has_name = |listener: &&Listener| host.is_one_of(&listener.access.names);
        let mut listeners = self.listeners.iter();
        let mut named = self.listeners.iter();
        listeners.find(has_port).or_else(|| named.find(has_name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_a_listeners_address_its_own_upstream_is_meant() {
        let config = "default_upstream = \"hub.test\"\n\
                      [upstream.\"hub.test\"]\n[upstream.\"team.test\"]\n\
                      [[listener]]\naddress = \"127.0.0.1:5000\"\n\
                      [[listener]]\naddress = \"0.0.0.0:5001\"\nupstream = \"team.test\"\n\
                      names = [\"team.mirror.test\"]";
        let config = Config::parse("archway.toml", config).unwrap();
        for (text, expected) in [
            ("127.0.0.1:5000/app", "hub.test/app:latest"),
            ("127.0.0.1:5001/app", "team.test/app:latest"),
            ("team.mirror.test/app", "team.test/app:latest"),
            ("127.0.0.1:5001/hub.test/app:v1", "hub.test/app:v1"),
            ("app", "hub.test/app:latest"),
            ("other.test/app", "other.test/app:latest"),
        ] {
            let (host, image) = config.meant(&text.parse().unwrap());
            assert_eq!(image.to_string(), expected, "{text}");
            assert_eq!(image.host, Some(host));
        }
    }
}
