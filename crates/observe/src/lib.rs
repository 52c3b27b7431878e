//! What is told of requests: a line in the access log, one in the audit log, and the counters of
//! both; and the text of all metrics.
//!
//! `access` is the middleware that watches a request from its arrival to the end of its body;
//! `log_writer` takes the lines, so that no request waits for a disk. Refuses to decide on answers:
//! routes leave what they found in [`access::RequestFacts`]. Counters of other parts are theirs;
//! `metrics` only writes them down, beside what the kernel counts of the process.

pub mod access;
pub mod audit;
pub mod log_writer;
pub mod metrics;
mod process;
