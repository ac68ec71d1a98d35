//! What is known of an exchange that failed.

use std::{error::Error as StdError, io, iter};

use hyper_util::client::legacy;
use openclaw_core::{Error, ErrorKind, Happened};

use super::{connect::Unresolved, egress::Refused, tls};

/// Before the answer: `No` when no connection came about. The address is in none of the words.
pub(super) fn of_exchange(e: legacy::Error) -> Error {
    if let Some(refused) = cause::<Refused>(&e) {
        return refused.clone().into();
    }
    let happened = if e.is_connect() { Happened::No } else { Happened::Maybe };
    let late = cause::<io::Error>(&e).is_some_and(|e| e.kind() == io::ErrorKind::TimedOut);
    let (kind, message) = if let Some(said) = tls::failure(&e) {
        said
    } else if let Some(Unresolved(why)) = cause(&e) {
        (why.kind(), "the name of the host can't be resolved")
    } else if e.is_connect() && late {
        (ErrorKind::Timeout, "no connection in time")
    } else if e.is_connect() {
        (ErrorKind::Unavailable, "no connection")
    } else if cause(&e).is_some_and(hyper::Error::is_parse_too_large) {
        (ErrorKind::ValidationError, "the head of the response is longer than the limit")
    } else if cause(&e).is_some_and(hyper::Error::is_parse) {
        (ErrorKind::Unavailable, "the response is no HTTP/1.1")
    } else {
        (ErrorKind::Unavailable, "the connection broke before the answer")
    };
    Error::new(kind, message).with_happened(happened).with_source(e)
}

/// In the body of an answer.
pub(super) fn of_body(e: hyper::Error) -> Error {
    Error::new(ErrorKind::Unavailable, "the connection broke within the answer")
        .with_happened(Happened::Maybe)
        .with_source(e)
}

pub(super) fn late() -> Error {
    Error::new(ErrorKind::Timeout, "no answer in time")
}

/// The first of the causes that is of this type.
fn cause<'a, E: StdError + 'static>(e: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    iter::successors(Some(e), |e: &&'a (dyn StdError + 'static)| (*e).source())
        .find_map(|e| e.downcast_ref())
}
