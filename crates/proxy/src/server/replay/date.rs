//! The `Date` header, made once a second.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

thread_local! {
    /// The second and its text.
    static LAST: RefCell<(u64, Arc<str>)> = RefCell::new((0, Arc::from("")));
}

/// The date of `time` as HTTP writes it (RFC 9110, section 5.6.7).
pub(super) fn of(time: SystemTime) -> Date {
    let second = time
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    LAST.with_borrow_mut(|last| {
        if last.0 != second {
            *last = (second, httpdate::fmt_http_date(time).into());
        }
        Date(Arc::clone(&last.1))
    })
}

/// A date's text.
pub(super) struct Date(Arc<str>);

impl Date {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_second_has_its_own_date() {
        let time = UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(of(time).as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
        let later = time + Duration::from_secs(1);
        assert_eq!(of(later).as_str(), "Sun, 06 Nov 1994 08:49:38 GMT");
        assert_eq!(of(time).as_str(), "Sun, 06 Nov 1994 08:49:37 GMT");
    }
}
