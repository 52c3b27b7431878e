//! How long a certificate is still valid.

use std::time::{Duration, SystemTime};

use x509_cert::{Certificate, der::Decode};

use super::report::Finding;

/// A certificate with less time left is a warning: automatic renewal would have replaced it by
/// then.
const SOON: Duration = Duration::from_hours(14 * 24);

/// Judges a certificate (DER) by its end alone: the handshake has verified the rest.
pub(super) fn judge(der: &[u8], now: SystemTime) -> Finding {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Finding::warning("the certificate was accepted, its dates cannot be read");
    };
    let end = certificate.tbs_certificate.validity.not_after;
    match end.to_system_time().duration_since(now) {
        Ok(left) => {
            let days = left.as_secs() / (24 * 60 * 60);
            let detail = format!("the certificate is good for {days} more days, until {end}");
            if left < SOON {
                Finding::warning(detail)
            } else {
                Finding::ok(detail)
            }
        }
        Err(_) => Finding::failed(format!("the certificate has expired on {end}")),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::report::Status, *};

    /// Made by `openssl req -x509 -days 3650`; ends on 2036-11-21.
    const TEN_YEARS: &[u8] = include_bytes!("certificate/ten-years.der");
    const END: Duration = Duration::from_secs(2_110_877_773);
    const DAY: Duration = Duration::from_hours(24);

    #[test]
    fn a_certificate_is_judged_by_the_days_it_has_left() {
        let end = SystemTime::UNIX_EPOCH + END;
        for (now, status) in [
            (end - 100 * DAY, Status::Ok),
            (end - 13 * DAY, Status::Warning),
            (end + DAY, Status::Failed),
        ] {
            let found = judge(TEN_YEARS, now);
            assert_eq!(found.status, status, "{}", found.detail);
        }
        assert!(
            judge(TEN_YEARS, end - 100 * DAY)
                .detail
                .contains("100 more days")
        );
    }

    #[test]
    fn what_is_no_certificate_is_told() {
        assert_eq!(judge(b"x", SystemTime::now()).status, Status::Warning);
    }
}
