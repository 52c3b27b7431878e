//! The time a certificate is still valid.

use std::time::{Duration, SystemTime};

use x509_cert::{Certificate, der::Decode};

use super::report::Finding;

/// The days before the end when automatic renewal should have happened.
const RENEWAL_OVERDUE: Duration = Duration::from_hours(14 * 24);

/// Judges the end of a certificate (DER) that the TLS handshake has verified.
pub(super) fn judge(der: &[u8], now: SystemTime) -> Finding {
    let Ok(certificate) = Certificate::from_der(der) else {
        return Finding::warning("the certificate is trusted, but its dates cannot be read");
    };
    let end = certificate.tbs_certificate.validity.not_after;
    match end.to_system_time().duration_since(now) {
        Ok(left) => {
            let days = left.as_secs() / (24 * 60 * 60);
            let detail = format!("the certificate is valid for {days} more days, until {end}");
            if left < RENEWAL_OVERDUE {
                Finding::warning(detail)
            } else {
                Finding::ok(detail)
            }
        }
        Err(_) => Finding::failed(format!("the certificate expired on {end}")),
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
    fn a_certificate_that_cannot_be_read_is_a_warning() {
        assert_eq!(judge(b"x", SystemTime::now()).status, Status::Warning);
    }
}
