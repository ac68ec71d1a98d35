//! Signs each request, and once more after a 401.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Response, StatusCode};
use openclaw_core::{
    Call, Happened, Result,
    http::{Body, Http},
};

use super::authorize::{Authorize, Credential, check_live};

/// Signs each request. A 401 costs one more request, with another credential. Where effects are
/// withheld, nothing is signed and nothing sent.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    http: Arc<dyn Http>,
    authorize: Arc<dyn Authorize>,
}

impl Signed {
    pub(crate) fn new(http: Arc<dyn Http>, authorize: Arc<dyn Authorize>) -> Self {
        Self { http, authorize }
    }

    /// The same call with credentials, and their name.
    async fn sign(
        &self,
        call: Call<http::Request<Bytes>>,
        refused: Option<Credential>,
    ) -> Result<(Call<http::Request<Bytes>>, Credential)> {
        let context = call.context().clone();
        let mut request = call.payload().clone();
        let signed = self.authorize.authorize(&context, &mut request, refused).await;
        // Neither here nor behind a 401 has anybody done anything yet.
        let credential = signed.map_err(|e| e.with_happened(Happened::No))?;
        request.extensions_mut().insert(credential);
        Ok((call.map(|_| request), credential))
    }
}

#[async_trait]
impl Http for Signed {
    async fn send(&self, call: Call<http::Request<Bytes>>) -> Result<Response<Body>> {
        check_live(call.context())?;
        let (first, credential) = self.sign(call.clone(), None).await?;
        let response = self.http.send(first).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            return Ok(response);
        }
        let (second, other) = self.sign(call, Some(credential)).await?;
        if other == credential {
            return Ok(response);
        }
        self.http.send(second).await
    }
}
