//! The order of eviction in the words of the admin API.

use admin_api::EvictionClass;
use cache::Class;

/// The class that operators are told; `None` for what is pinned, which never leaves.
pub fn eviction_class(class: Class) -> Option<EvictionClass> {
    match class {
        Class::Unwanted => Some(EvictionClass::Unwanted),
        Class::Probation => Some(EvictionClass::Probation),
        Class::Blob => Some(EvictionClass::UsedAgain),
        Class::Manifest => Some(EvictionClass::Manifest),
        Class::Pinned => None,
    }
}
