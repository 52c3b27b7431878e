//! No PROXY header panics, and reading one takes not a byte of what comes behind it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use server::fuzzing::proxy_header;

fuzz_target!(|sent: &[u8]| {
    let Some((Ok(client), rest)) = proxy_header(sent) else { return };
    let header = &sent[..sent.len() - rest.len()];
    let followed = [header, b"GET / HTTP/1.1\r\n"].concat();
    let (again, rest) = proxy_header(&followed).unwrap();
    assert_eq!(again.unwrap(), client);
    assert_eq!(rest, b"GET / HTTP/1.1\r\n");
});
