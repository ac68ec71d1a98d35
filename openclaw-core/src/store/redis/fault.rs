//! What goes wrong with a server, in the words of the store.

use std::io;

use redis::{ErrorKind, RedisError};

use super::address::Address;
use crate::{store::tls::refusal, traits::store::StoreError};

/// Why a script has no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It did not run, or changed nothing.
    Refused(StoreError),
    /// It was sent, the connection broke, and nobody knows whether it ran.
    Lost(StoreError),
    /// It was sent, no answer came in time, and nobody knows whether it ran.
    Late(StoreError),
}

impl Fault {
    /// For whoever only reads: nothing was to be applied.
    pub(super) fn read(self) -> StoreError {
        let (Self::Refused(e) | Self::Lost(e) | Self::Late(e)) = self;
        e
    }
}

/// The words by which a server refuses a script before its first write, and what to do.
const REFUSALS: [(&str, &str); 17] = [
    ("READONLY", "it is a read-only replica: name the primary"),
    ("LOADING", "it is loading its data: try again"),
    ("BUSY", "another script keeps it busy: try again"),
    ("MISCONF", "it can't write its file: look at its disk and its log"),
    ("NOREPLICAS", "it has too few replicas to accept writes: bring them back"),
    ("CLUSTERDOWN", "its cluster is down: bring it back"),
    ("MASTERDOWN", "it has lost its primary: name the primary"),
    ("MOVED", "the slot is on another node of the cluster: name that one"),
    ("ASK", "the slot is on its way to another node: try again"),
    ("TRYAGAIN", "the slot is on its way to another node: try again"),
    ("NOAUTH", "it wants a password: put it into the address"),
    ("NOPERM", RIGHTS),
    ("can't run this command", RIGHTS),
    ("can't access", RIGHTS),
    ("NOSCRIPT", "its scripts were flushed in between: try again"),
    ("UNKILLABLE", "another script keeps it busy: try again"),
    ("killed by user", "the script was killed before it wrote: try again"),
];

const RIGHTS: &str = "the user may not do all that a store needs: give it the store's keys, \
                      @read, @write, @scripting and time";

/// What an error of the crate means for a script that was sent to this server.
pub(super) fn fault(at: &Address, e: &RedisError) -> Fault {
    let Some(code) = e.code() else {
        let why = lost(at, e);
        return if e.is_timeout() { Fault::Late(why) } else { Fault::Lost(why) };
    };
    let details = e.detail().unwrap_or_default();
    let own = |why: String| Fault::Refused(StoreError::Corrupt(format!("{at}: {why}")));
    match code {
        "OOM" => return Fault::Refused(full(at)),
        "MISCONF" if details.contains("No space") => {
            let why = format!("{at}: it can't write its file: free space on its disk");
            return Fault::Refused(StoreError::Full(why));
        }
        "LAYOUT" if details == "none" => {
            return own("the store was wiped behind its back: open it again, or restore it".into());
        }
        "LAYOUT" => return own(format!("its layout is {details}, this is 1: use a newer build")),
        "FOREIGN" | "WRONGTYPE" => {
            return own("a key of another kind is in its place: choose another prefix".into());
        }
        "TORN" => return own(details.to_owned()),
        _ => {}
    }
    // Before version 7 the code is inside the words.
    let named = |word: &str| code == word || details.contains(word);
    if named("OOM") {
        return Fault::Refused(full(at));
    }
    match REFUSALS.iter().find(|(word, _)| named(word)) {
        Some((_, advice)) => Fault::Refused(StoreError::Unavailable(format!("{at}: {advice}"))),
        None => Fault::Lost(StoreError::Unavailable(format!("{at} refuses the script: {code}"))),
    }
}

/// No memory is left.
pub(super) fn full(at: &Address) -> StoreError {
    StoreError::Full(format!("{at} has reached its maxmemory: raise it, or delete rows"))
}

/// No hands were shaken for TLS.
pub(super) fn unsafe_way(at: &Address, e: &io::Error) -> StoreError {
    match refusal(e) {
        Some(why) => StoreError::Unavailable(format!("{at}: {why}")),
        None => {
            let why = format!("{at} ends the handshake of TLS: {e}: does this port speak TLS?");
            StoreError::Unavailable(why)
        }
    }
}

/// The connection can't be made or broke.
pub(super) fn lost(at: &Address, e: &RedisError) -> StoreError {
    if let Some(code) = e.code() {
        let advice = REFUSALS.iter().find(|(word, _)| *word == code);
        let advice = advice.map_or("look at its log", |(_, advice)| *advice);
        return StoreError::Unavailable(format!("{at} refuses the connection ({code}): {advice}"));
    }
    if let Some(why) = refusal(e) {
        return StoreError::Unavailable(format!("{at}: {why}"));
    }
    let why = match e.kind() {
        ErrorKind::AuthenticationFailed => {
            "refuses the user or the password: correct the address".to_owned()
        }
        ErrorKind::Io if e.is_timeout() => "does not answer in time: look at it and at the way \
                                            to it"
            .to_owned(),
        ErrorKind::Io => format!("can't be reached: {e}: start it or correct the address"),
        ErrorKind::Parse => "does not speak as a redis does: correct the address".to_owned(),
        kind => format!("can't be used: {kind:?}"),
    };
    StoreError::Unavailable(format!("{at} {why}"))
}
