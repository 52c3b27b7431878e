//! The counts of images, of unwanted bytes and of wishes.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use image_inventory::Totals;

/// The gauges of housekeeping. Clones are handles to the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct HousekeepingMetrics {
    images: Family<ImageLabels, Gauge>,
    unwanted_bytes: Gauge,
    wishes: Gauge,
}

/// Platforms are a bounded set: see [`Totals`].
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ImageLabels {
    /// A platform, or `other`.
    platform: String,
    /// `cached`, `partial` or `absent`.
    state: &'static str,
}

impl HousekeepingMetrics {
    /// Registers everything. The registry's prefix goes before the names.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let help = "Images of cached tags for each platform, as of the last count";
        registry.register("images", help, self.images.clone());
        let help = "Bytes of blobs for platforms that no client pulls, as of the last ranking";
        let unwanted = self.unwanted_bytes.clone();
        registry.register_with_unit("cache_unwanted", help, Unit::Bytes, unwanted);
        let help = "Images that clients of offline upstreams asked for and that are not stored";
        registry.register("wishes", help, self.wishes.clone());
    }

    /// Replaces the number of bytes that go first when room is needed.
    pub(super) fn count_unwanted(&self, bytes: u64) {
        self.unwanted_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// Replaces the number of wishes.
    pub(super) fn count_wishes(&self, number: usize) {
        self.wishes.set(i64::try_from(number).unwrap_or(i64::MAX));
    }

    /// Replaces the numbers of images.
    pub(super) fn count_images(&self, totals: &Totals) {
        self.images.clear();
        for ((platform, state), number) in totals {
            let labels = ImageLabels {
                platform: platform.clone(),
                state: state.as_str(),
            };
            self.images.get_or_create(&labels).set(*number);
        }
    }
}
