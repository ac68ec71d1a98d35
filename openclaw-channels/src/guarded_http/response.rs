//! A response body on its way in: bounded in size and in time.

use async_trait::async_trait;
use bytes::Bytes;
use openclaw_core::{Error, ErrorKind, Happened, Result, http::BodyStream};
use tokio::time::{self, Instant};

use super::{late, lifted};

#[derive(Debug)]
pub(super) struct Incoming {
    response: reqwest::Response,
    end: Instant,
    limit: usize,
    read: usize,
}

impl Incoming {
    pub(super) const fn new(response: reqwest::Response, end: Instant, limit: usize) -> Self {
        Self { response, end, limit, read: 0 }
    }

    /// The effect may have happened: only its answer is of no use.
    fn too_long(&self) -> Error {
        Error::new(ErrorKind::ValidationError, "the response is longer than the limit")
            .with("limit", self.limit)
            .with_happened(Happened::Maybe)
    }
}

#[async_trait]
impl BodyStream for Incoming {
    async fn chunk(&mut self) -> Result<Option<Bytes>> {
        let declared = self.response.content_length().unwrap_or_default();
        if self.read == 0 && declared > self.limit as u64 {
            return Err(self.too_long());
        }
        let chunk = time::timeout_at(self.end, self.response.chunk()).await;
        let chunk = chunk.map_err(|_late| late())?;
        let chunk = chunk.map_err(|e| lifted(e).with_happened(Happened::Maybe))?;
        self.read += chunk.as_ref().map_or(0, Bytes::len);
        if self.read > self.limit { Err(self.too_long()) } else { Ok(chunk) }
    }
}
