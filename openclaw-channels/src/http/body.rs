//! Reading a body: bounded in length, in time, and in what all hold together.

use std::sync::Arc;

use axum::{body::Body, extract::Request};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt as _;
use openclaw_core::{ErrorKind, Limits};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

use super::problem::Problem;

/// What strangers may hold of this process before they are known.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    /// Requests whose body is being read.
    requests: Arc<Semaphore>,
    /// KiB of bodies, from their first byte until their verdict.
    kib: Arc<Semaphore>,
}

/// A body, and its share of the budget while it is kept.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) bytes: Bytes,
    _held: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(requests: usize, bytes: usize) -> Self {
        let kib = (bytes / 1024).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            requests: Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS))),
            kib: Arc::new(Semaphore::new(kib)),
        }
    }

    /// A place among those whose body is read: taken before anything of it is.
    pub(super) fn enter(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = Arc::clone(&self.requests).try_acquire_owned();
        place.map_err(|_full| Problem::overloaded("too many requests at once"))
    }

    fn hold(
        &self,
        held: Option<OwnedSemaphorePermit>,
        kib: usize,
    ) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let have = held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = u32::try_from(kib.saturating_sub(have)).unwrap_or(u32::MAX);
        if more == 0 {
            return Ok(held);
        }
        let more = Arc::clone(&self.kib).try_acquire_many_owned(more);
        let more = more.map_err(|_full| Problem::overloaded("too many bytes at once"))?;
        Ok(match held {
            Some(mut held) => {
                held.merge(more);
                Some(held)
            }
            None => Some(more),
        })
    }

    /// Reads the body within the limits.
    pub(super) async fn read(&self, request: Request, limits: &Limits) -> Result<Read, Problem> {
        declared(request.headers(), limits.body)?;
        let reading = self.pieces(request.into_body(), limits.body);
        time::timeout(limits.read, reading).await.map_err(|_late| {
            let message = "the body did not come in time";
            Problem::new(StatusCode::REQUEST_TIMEOUT, ErrorKind::Timeout, message)
        })?
    }

    async fn pieces(&self, mut body: Body, most: usize) -> Result<Read, Problem> {
        let (mut whole, mut held) = (BytesMut::new(), None);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_broken| Problem::bad_request("the body is broken off"))?;
            let Ok(piece) = frame.into_data() else { continue };
            let length = whole.len() + piece.len();
            if length > most {
                return Err(Problem::too_large(most));
            }
            held = self.hold(held, length.div_ceil(1024))?;
            whole.extend_from_slice(&piece);
        }
        Ok(Read { bytes: whole.freeze(), _held: held })
    }
}

/// Refuses a body by its declared length, before a byte of it is read.
pub(super) fn declared(headers: &HeaderMap, most: usize) -> Result<(), Problem> {
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    // A length that overflows is longer than any limit; one that isn't a number never gets here.
    let length = length.map(|text| text.parse::<u64>().unwrap_or(u64::MAX));
    match length {
        Some(length) if length > most as u64 => Err(Problem::too_large(most)),
        _ => Ok(()),
    }
}
