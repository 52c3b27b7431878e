//! The C library's allocator, asked for the one thing that Rust's interface to it does not have: to
//! give the kernel back what is free.
//!
//! Owns the call and nothing else: when it is worth its time, `server` decides. glibc keeps what
//! lies below a block in use, so what a flood of clients took stays with the process after they have
//! left. Another allocator would have to be compiled for each target and for its size of pages, and
//! gave back no more (docs/hardening.md, "Memory").

/// Gives the kernel back all whole pages that are free. Takes a lock of the allocator for as long as
/// it walks through its free blocks: a millisecond or a few. Does nothing where the C library is not
/// glibc: others give memory back by themselves.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    glibc::malloc_trim(0);
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod glibc {
    use std::ffi::c_int;

    // SAFETY: the declaration is that of malloc_trim(3): `int malloc_trim(size_t pad)`. It may be
    // called from any thread at any time, and touches nothing that is in use.
    #[allow(unsafe_code, reason = "the C library has no safe door to it")]
    unsafe extern "C" {
        pub(super) safe fn malloc_trim(pad: usize) -> c_int;
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use std::fs;

    /// Of a small block, so that all lie in the heap and none is given back on its own.
    const BLOCK: usize = 16 << 10;

    fn resident_kib() -> u64 {
        let status = fs::read_to_string("/proc/self/status").expect("a process has it");
        let line = status.lines().find(|line| line.starts_with("RssAnon:"));
        let value = line.and_then(|line| line.split_whitespace().nth(1));
        let number = value.and_then(|value| value.parse().ok());
        number.expect("a number of kibibytes")
    }

    #[test]
    fn what_is_free_below_a_block_in_use_goes_back() {
        let mut blocks: Vec<Vec<u8>> = (0..4096).map(|_| vec![1; BLOCK]).collect();
        let held = resident_kib();
        // The last one stays, and all others below it.
        let last = blocks.pop();
        drop(blocks);
        super::trim();
        let after = resident_kib();
        assert!(after + (48 << 10) < held, "{held} KiB, then {after} KiB");
        drop(last);
    }
}
