//! Free ports on loopback.

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

/// What servers write when another process has their port, in lower case.
const TAKEN: [&str; 4] =
    ["address already in use", "eaddrinuse", "in use by another", "already a epmd running"];

/// So many ports that were free a moment ago, all different.
pub(super) fn free(count: usize) -> io::Result<Vec<u16>> {
    let bind = |_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let held = (0..count).map(bind).collect::<io::Result<Vec<_>>>()?;
    held.iter().map(|listener| Ok(listener.local_addr()?.port())).collect()
}

/// Does this log say that a port was taken?
pub(super) fn taken(log: &str) -> bool {
    let log = log.to_lowercase();
    TAKEN.iter().any(|words| log.contains(words))
}
