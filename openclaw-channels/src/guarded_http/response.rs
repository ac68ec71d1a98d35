//! A response body on its way in: bounded in size and in time.

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming as Raw};
use openclaw_core::{Error, ErrorKind, Happened, Result, http::BodyStream};
use tokio::time::{self, Instant};

use super::{
    decode::{Bad, Coding},
    failure,
};

#[derive(Debug)]
pub(super) struct Incoming {
    raw: Raw,
    coding: Coding,
    end: Instant,
    limit: usize,
    /// As it came.
    read: usize,
}

impl Incoming {
    pub(super) const fn new(raw: Raw, coding: Coding, end: Instant, limit: usize) -> Self {
        Self { raw, coding, end, limit, read: 0 }
    }

    /// The next piece as it comes.
    async fn raw(&mut self) -> Result<Option<Bytes>> {
        let declared = self.raw.size_hint().lower();
        if self.read == 0 && declared > self.limit as u64 {
            return Err(self.too_long());
        }
        loop {
            let frame = time::timeout_at(self.end, self.raw.frame()).await;
            let Some(frame) = frame.map_err(|_late| failure::late())? else { return Ok(None) };
            let Ok(piece) = frame.map_err(failure::of_body)?.into_data() else { continue };
            self.read = self.read.saturating_add(piece.len());
            return if self.read > self.limit { Err(self.too_long()) } else { Ok(Some(piece)) };
        }
    }

    fn too_long(&self) -> Error {
        useless("the response is longer than the limit").with("limit", self.limit)
    }

    fn bad(&self, bad: Bad) -> Error {
        match bad {
            Bad::Long => self.too_long(),
            Bad::Bomb => useless("the response grows beyond measure when it is decompressed"),
            Bad::Garbage => useless("the response is broken: it is no whole gzip, as it says"),
        }
    }
}

/// The effect may have happened: only its answer is of no use.
fn useless(why: &'static str) -> Error {
    Error::new(ErrorKind::ValidationError, why).with_happened(Happened::Maybe)
}

#[async_trait]
impl BodyStream for Incoming {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            let piece = self.raw().await?;
            let made = match (&mut self.coding, &piece) {
                (Coding::Plain, _) | (Coding::Foreign, None) => return Ok(piece),
                (Coding::Foreign, Some(_)) => {
                    return Err(useless("the response is in a coding that was not asked for"));
                }
                (Coding::Gzip(gunzip), Some(piece)) => gunzip.feed(piece),
                (Coding::Gzip(gunzip), None) => gunzip.finish(),
            };
            let made = made.map_err(|bad| self.bad(bad))?;
            if !made.is_empty() {
                return Ok(Some(made));
            }
            if piece.is_none() {
                return Ok(None);
            }
        }
    }
}
