//! The counters of connections: open ones, TLS handshakes, certificate reloads, bytes sent by the
//! kernel.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// The counters of all listeners. Clones are handles to the same counters.
#[derive(Clone, Debug, Default)]
pub struct ServerMetrics {
    pub(crate) connections: Gauge,
    pub(crate) connections_limit: Gauge,
    pub(crate) certificate_expiry: Family<ListenerLabels, Gauge>,
    pub(crate) connections_cut: Family<CutLabels, Counter>,
    pub(crate) memory: Gauge,
    pub(crate) memory_steps: Gauge,
    pub(crate) tls_handshakes: Family<HandshakeLabels, Counter>,
    pub(crate) tls_reloads: Family<ReloadLabels, Counter>,
    pub(crate) sendfile_bytes: Counter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct HandshakeLabels {
    /// `accepted`, `failed`, `timed_out`, `plain_http`, or `closed` before the first byte.
    pub(crate) result: &'static str,
    /// `1.2` or `1.3`, or `none` for a handshake that was not accepted.
    pub(crate) version: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ListenerLabels {
    /// Its address.
    pub(crate) listener: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct ReloadLabels {
    /// `loaded` or `refused`.
    pub(crate) result: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct CutLabels {
    /// `idle`, `stalled`, `resets`, `full`, or `refused` before the first byte.
    pub(crate) reason: &'static str,
}

impl ServerMetrics {
    /// Registers all counters. The registry's prefix goes before their names.
    pub fn register(&self, registry: &mut Registry) {
        let help = "Body bytes sent from files by the kernel";
        registry.register_with_unit("sendfile", help, Unit::Bytes, self.sendfile_bytes.clone());
        registry.register("connections", "Connections open", self.connections.clone());
        let help = "Connections that may be open";
        registry.register("connections_limit", help, self.connections_limit.clone());
        let cut = "Connections ended by a bound, by which";
        registry.register("connections_cut", cut, self.connections_cut.clone());
        let memory = "Memory of the process that belongs to no file";
        registry.register_with_unit("memory", memory, Unit::Bytes, self.memory.clone());
        let steps = "Steps taken against a lack of memory, 0 to 3";
        registry.register("memory_steps", steps, self.memory_steps.clone());
        self.register_tls(registry);
    }

    fn register_tls(&self, registry: &mut Registry) {
        self.count_from_now();
        let handshakes = "TLS handshakes, by how they ended";
        registry.register("tls_handshakes", handshakes, self.tls_handshakes.clone());
        let reloads = "Changed TLS certificates, by whether they could be used";
        registry.register("tls_reloads", reloads, self.tls_reloads.clone());
        let help = "When the certificate of a listener ends, in Unix time";
        let expiry = self.certificate_expiry.clone();
        registry.register_with_unit(
            "tls_certificate_expiry_timestamp",
            help,
            Unit::Seconds,
            expiry,
        );
    }

    /// Has the counters with labels at zero before there is anything to count.
    fn count_from_now(&self) {
        for version in ["1.2", "1.3"] {
            let result = "accepted";
            let labels = HandshakeLabels { result, version };
            self.tls_handshakes.get_or_create_owned(&labels);
        }
        for result in ["failed", "timed_out", "plain_http", "closed"] {
            let version = "none";
            let labels = HandshakeLabels { result, version };
            self.tls_handshakes.get_or_create_owned(&labels);
        }
        for result in ["loaded", "refused"] {
            self.tls_reloads
                .get_or_create_owned(&ReloadLabels { result });
        }
        for reason in ["idle", "stalled", "resets", "full", "refused"] {
            self.connections_cut
                .get_or_create_owned(&CutLabels { reason });
        }
    }
}
