//! Conditional reads: what is unchanged is not sent again.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, header};
use openclaw_core::{
    Call, Digest, Result,
    http::{Body, Http},
};

use super::authorize::Credential;

/// Marks an answer that the service confirmed, and that came from memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Revalidated;

/// Asks whether what it read before has changed. Every answer is one of the service: an entry is
/// used only when a 304 says so, and only for the credential that it was read with.
#[derive(Debug)]
pub(super) struct ETags {
    http: Arc<dyn Http>,
    kept: Mutex<Kept>,
    max_bytes: usize,
    /// Is what no credential is known of the same for everybody?
    anonymous: bool,
}

impl ETags {
    pub(super) fn new(http: Arc<dyn Http>, max_bytes: usize, anonymous: bool) -> Self {
        Self { http, kept: Mutex::default(), max_bytes, anonymous }
    }

    /// May somebody sign it further down, so that nobody knows here whose answer it will be?
    fn may_be_anybodys(&self, request: &http::Request<Bytes>) -> bool {
        !self.anonymous && request.extensions().get::<Credential>().is_none()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Http for ETags {
    async fn send(&self, mut call: Call<http::Request<Bytes>>) -> Result<Response<Body>> {
        let request = call.payload();
        let conditional = |name| request.headers().contains_key(name);
        if request.method() != Method::GET
            || self.may_be_anybodys(request)
            || conditional(header::IF_NONE_MATCH)
            || conditional(header::IF_MODIFIED_SINCE)
            || conditional(header::RANGE)
        {
            return self.http.send(call).await;
        }
        let key = key(&call);
        let known = self.kept().get(&key);
        if let Some(known) = &known
            && let Some(tag) = known.headers.get(header::ETAG)
        {
            let mut request = call.payload().clone();
            request.headers_mut().insert(header::IF_NONE_MATCH, tag.clone());
            call = call.map(|_| request);
        }
        let (mut head, body) = self.http.send(call).await?.into_parts();
        if let (StatusCode::NOT_MODIFIED, Some(known)) = (head.status, known) {
            let fresh = std::mem::take(&mut head.headers);
            head.status = StatusCode::OK;
            head.headers = updated(&known.headers, &fresh);
            head.extensions.insert(Revalidated);
            return Ok(Response::from_parts(head, Body::full(known.body)));
        }
        // It is whole already.
        let body = body.collect(usize::MAX).await?;
        let mut kept = self.kept();
        if !head.status.is_server_error() && head.status != StatusCode::TOO_MANY_REQUESTS {
            kept.remove(&key);
        }
        if head.status == StatusCode::OK && may_keep(&head.headers) {
            let entry = Entry { headers: head.headers.clone(), body: body.clone(), used: 0 };
            kept.put(key, entry, self.max_bytes);
        }
        drop(kept);
        Ok(Response::from_parts(head, Body::full(body)))
    }
}

/// Whose answer to which question: tenant, credential, address, and all that was asked along.
fn key(call: &Call<http::Request<Bytes>>) -> Digest {
    let request = call.payload();
    let uri = request.uri().to_string();
    let credential = request.extensions().get::<Credential>().map(|c| c.digest().as_bytes());
    let mut parts: Vec<&[u8]> = vec![
        call.context().tenant().as_str().as_bytes(),
        credential.map_or(&[], |digest| digest.as_slice()),
        uri.as_bytes(),
    ];
    let mut headers: Vec<(&str, &[u8])> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .filter(|(name, _)| !matches!(*name, "traceparent" | "tracestate"))
        .collect();
    headers.sort_unstable();
    parts.extend(headers.iter().flat_map(|(name, value)| [name.as_bytes(), value]));
    Digest::of("openclaw.etag", parts)
}

fn may_keep(headers: &HeaderMap) -> bool {
    let says = |name, word: &str| {
        let mut values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.any(|value| value.split(',').any(|item| item.trim().eq_ignore_ascii_case(word)))
    };
    headers.contains_key(header::ETAG)
        && !says(header::CACHE_CONTROL, "no-store")
        && !says(header::VARY, "*")
}

/// The headers that were kept, under those of the 304 (RFC 9111, 4.3.4).
///
/// What describes the body stays; what the service says of its rate limit is of today.
fn updated(kept: &HeaderMap, fresh: &HeaderMap) -> HeaderMap {
    const OF_THE_BODY: [header::HeaderName; 5] = [
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::TRANSFER_ENCODING,
    ];
    let mut headers = kept.clone();
    for name in fresh.keys().filter(|name| !OF_THE_BODY.contains(name)) {
        headers.remove(name);
        for value in fresh.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    headers
}

/// What was read, and when it was last of use.
#[derive(Debug, Default)]
struct Kept {
    entries: BTreeMap<Digest, Entry>,
    /// The keys in the order of their last use.
    order: BTreeMap<u64, Digest>,
    clock: u64,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    headers: HeaderMap,
    body: Bytes,
    used: u64,
}

impl Entry {
    /// Its weight: what it holds, and what it costs to hold it.
    fn bytes(&self) -> usize {
        const OVERHEAD: usize = 512;
        let headers = self.headers.iter().map(|(name, value)| name.as_str().len() + value.len());
        OVERHEAD + self.body.len() + headers.sum::<usize>()
    }
}

impl Kept {
    fn get(&mut self, key: &Digest) -> Option<Entry> {
        let entry = self.entries.get_mut(key)?;
        self.clock += 1;
        self.order.remove(&entry.used);
        self.order.insert(self.clock, *key);
        entry.used = self.clock;
        Some(entry.clone())
    }

    fn put(&mut self, key: Digest, mut entry: Entry, max_bytes: usize) {
        if entry.bytes() > max_bytes {
            return;
        }
        self.clock += 1;
        entry.used = self.clock;
        self.bytes += entry.bytes();
        self.order.insert(self.clock, key);
        self.entries.insert(key, entry);
        while self.bytes > max_bytes
            && let Some((_, oldest)) = self.order.first_key_value()
        {
            let oldest = *oldest;
            self.remove(&oldest);
        }
    }

    fn remove(&mut self, key: &Digest) {
        if let Some(entry) = self.entries.remove(key) {
            self.order.remove(&entry.used);
            self.bytes -= entry.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(bytes: usize) -> Entry {
        Entry { headers: HeaderMap::new(), body: Bytes::from(vec![0; bytes]), used: 0 }
    }

    fn key(n: u8) -> Digest {
        Digest::of("test", [[n]])
    }

    #[test]
    fn it_holds_no_more_than_it_may_and_forgets_what_was_not_used_longest() {
        let mut kept = Kept::default();
        let max = 3 * entry(1_000).bytes();
        for n in 0..3 {
            kept.put(key(n), entry(1_000), max);
        }
        assert!(kept.get(&key(0)).is_some(), "used, so it stays");
        kept.put(key(3), entry(1_000), max);
        let there: Vec<u8> = (0..4).filter(|n| kept.entries.contains_key(&key(*n))).collect();
        assert_eq!(there, [0, 2, 3]);
        kept.put(key(4), entry(max), max);
        assert_eq!(kept.entries.len(), 3, "what is too large is not kept");
        (0..4).for_each(|n| kept.remove(&key(n)));
        assert_eq!((kept.bytes, kept.order.len(), kept.entries.len()), (0, 0, 0));
    }
}
