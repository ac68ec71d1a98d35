//! OAuth 2.0: client credentials, refresh tokens, authorisation codes with PKCE.

mod builder;
mod code;
mod decide;
mod endpoint;
mod event;
mod hand_back;
mod record;
mod renew;
mod rows;

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Uri, header::AUTHORIZATION};
use openclaw_core::{Context, Error, ErrorKind, Result, Secret};

pub use self::{
    builder::OAuthBuilder,
    code::Begun,
    endpoint::ClientAuth,
    event::{AuthEvent, GrantState, GrantStatus},
    record::ReauthReason,
};
use self::{decide::Flow, endpoint::Endpoint, renew::Source, rows::Look};
use super::{api_key::sensitive, within};
use crate::{
    api::{Authorize, Credential, check_live},
    flight::{Flight, Work},
};

/// How often a token that was refused meanwhile is asked for again.
const TRIES: usize = 3;

/// An access token. It does not show itself.
#[derive(Clone, Debug)]
pub struct AccessToken {
    secret: Secret,
    generation: u64,
}

impl AccessToken {
    /// The token. Keep it out of messages, keys and logs.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.secret.expose()
    }

    /// Counts the tokens of a grant: a later one has a higher number.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }
}

/// An OAuth 2.0 grant: a valid access token, or who can help.
///
/// Cheap to clone; clones are one source. Its row in the store is shared with other processes:
///
/// * **One request for many.** A thousand callers cause one request for tokens, and so do several
///   replicas: whoever takes the row by compare-and-set asks, the others adopt what it stored.
/// * **Stored before used.** New tokens are in the store before anybody gets one, so that a
///   rotated refresh token is not lost behind its first use.
/// * **Ahead of time.** A token is replaced 300 s before its end, or at half of a shorter life.
///   While the server or the store is down, one that is still valid is used.
/// * **Never a loop.** Failures are 1, 2, 4 … 300 s apart, or as `Retry-After` says. A token that
///   the resource refuses is replaced once; when the new one is refused within 30 s, that is an
///   error.
/// * **A person when needed.** A refresh token that is refused (`invalid_grant`) ends the grant:
///   [`AuthEvent::NeedsReauth`] is told, [`OAuth::status`] shows it, and every use is
///   `AUTHENTICATION_FAILED` until somebody has authorised it again. So it ends, too, when a crash
///   or a lost answer took tokens that only the server knows: the refresh token at hand is tried
///   once more after 60 s, and a refusal then says `RotationLost`.
/// * **By the store's clock.** The dates of the row are its time: replicas whose clocks differ
///   wait for each other all the same.
/// * **Nothing for a shadow.** A call whose effects are withheld is not signed.
/// * **Handed back.** [`OAuth::hand_back`] has the server revoke its tokens (RFC 7009).
///
/// A request under way goes on when its callers are dropped, and ends with the last clone of the
/// grant: let [`OAuth::settle`] end it before a process stops. Hand it a `SealedStore` (feature `sealed` of openclaw-core): in a
/// plain store tokens are readable for whoever reads its files and backups.
///
/// ```
/// use std::sync::Arc;
/// use bytes::Bytes;
/// use openclaw_core::{Call, Env, Result, TenantId, http::{Body, Http}, store::MemoryStore};
/// use openclaw_skills::{auth::OAuth, secrets::{EnvSecrets, SecretRef, SecretSource, Secrets}};
///
/// /// A token end point, in process.
/// #[derive(Debug)]
/// struct Server;
///
/// #[async_trait::async_trait]
/// impl Http for Server {
///     async fn send(&self, _call: Call<http::Request<Bytes>>) -> Result<http::Response<Body>> {
///         let answer = r#"{"access_token":"t0ken","token_type":"Bearer","expires_in":3600}"#;
///         Ok(http::Response::new(Body::full(answer)))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<()> {
/// let env = EnvSecrets::of(|_name| Some("s3cret".to_owned()));
/// let secrets = Secrets::builder().provider(SecretSource::Env, "default", env).build()?;
/// let store = Arc::new(MemoryStore::new(Env::system().clock()));
/// let acme = TenantId::new("acme").expect("a name");
/// let crm = OAuth::client_credentials("crm", "https://id.crm.test/token", "gateway")
///     .client_secret(SecretRef::env("CRM_SECRET")?)
///     .scope("contacts.read")
///     .build(Server, secrets, store, acme, Env::system())?;
/// assert_eq!(crm.token().await?.expose(), "t0ken");
/// assert!(!format!("{crm:?}").contains("t0ken"));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct OAuth(Arc<Inner>);

struct Inner {
    source: Arc<Source>,
    flight: Flight<AccessToken>,
    /// Where a person consents, and where the browser goes from there.
    consent: Option<(Uri, String)>,
    /// What else the address says: scope, audience, prompt.
    consent_fields: Vec<(&'static str, String)>,
    /// Whose answers count in a consent.
    issuer: Option<String>,
    /// Where tokens are revoked.
    revocation: Option<Endpoint>,
}

impl OAuth {
    /// A grant of the client's own: it needs no person. `grant` names its row.
    pub fn client_credentials(
        grant: impl Into<String>,
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
    ) -> OAuthBuilder {
        OAuthBuilder::new(Flow::Client, grant.into(), token_endpoint.into(), client_id.into())
    }

    /// A grant by a person's consent, kept by refresh tokens. `grant` names its row.
    ///
    /// It begins with [`OAuth::begin`] and [`OAuth::finish`], or with [`OAuth::adopt`].
    pub fn authorization_code(
        grant: impl Into<String>,
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
    ) -> OAuthBuilder {
        OAuthBuilder::new(Flow::Person, grant.into(), token_endpoint.into(), client_id.into())
    }

    /// A valid access token.
    ///
    /// # Errors
    /// `AUTHENTICATION_FAILED` when a person or an operator has to help, else what went wrong at
    /// the token end point or the store; `happened` is `No`, for the request that needs the token
    /// was not sent.
    pub async fn token(&self) -> Result<AccessToken> {
        let source = &self.0.source;
        for _ in 0..TRIES {
            if let Some(token) = source.held() {
                return Ok(token);
            }
            let token = self.0.flight.join(|| work(source)).await?;
            if token.generation > source.refused() {
                return Ok(token);
            }
        }
        let message = "the resource refuses one token after the other";
        Err(source.named(Error::new(ErrorKind::AuthenticationFailed, message)))
    }

    /// The resource answered 401 to this token: the next one will be another.
    pub fn refuse(&self, token: &AccessToken) {
        self.0.source.refuse(token.generation);
    }

    /// Waits for requests for tokens and for consents that are under way, if there are any.
    ///
    /// Call it before the process stops: what the server has issued is stored then.
    ///
    /// # Errors
    /// As [`OAuth::token`].
    pub async fn settle(&self) -> Result<()> {
        match self.0.flight.settle().await {
            Some(outcome) => outcome.map(|_token| ()),
            None => Ok(()),
        }
    }

    /// How the grant stands.
    ///
    /// # Errors
    /// The store does not answer, or the row can't be read.
    pub async fn status(&self) -> Result<GrantStatus> {
        let source = &self.0.source;
        let Look { row, as_of } = source.rows.look().await.map_err(|e| source.named(e))?;
        let ours = row.filter(|(record, _)| record.client == source.client);
        Ok(match (ours, source.flow) {
            (Some((record, _)), _) => GrantStatus::of(&record, as_of),
            (None, Flow::Person) => GrantStatus::missing(),
            (None, Flow::Client) => {
                GrantStatus { state: GrantState::Ready, ..GrantStatus::missing() }
            }
        })
    }

    /// Removes the grant's tokens from the store. Only [`OAuth::hand_back`] tells the server.
    ///
    /// The count of its tokens stays, so that what others have asked for before comes too late.
    /// Another process uses the access token that it holds until it would replace it.
    ///
    /// # Errors
    /// The store does not answer; `CONFLICT` when others keep writing the row.
    pub async fn forget(&self) -> Result<()> {
        let source = &self.0.source;
        for _ in 0..TRIES {
            if source.clear().await.map_err(|e| source.named(e))? {
                source.forget();
                return Ok(());
            }
        }
        Err(source.named(Error::new(ErrorKind::Conflict, "the grant is being written")))
    }
}

fn work(source: &Arc<Source>) -> Work<AccessToken> {
    let source = Arc::clone(source);
    Box::pin(async move { source.renew().await.map_err(|e| source.named(e)) })
}

impl fmt::Debug for OAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let source = &self.0.source;
        f.debug_struct("OAuth")
            .field("grant", &source.grant)
            .field("tenant", source.rows.tenant())
            .field("client_id", &source.endpoint.client_id)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Authorize for OAuth {
    async fn authorize(
        &self,
        context: &Context,
        request: &mut Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        self.0.source.check(context.tenant())?;
        check_live(context).map_err(|e| self.0.source.named(e))?;
        if let Some(refused) = refused {
            self.0.source.refuse_named(refused);
        }
        let token = within(context, self.token()).await?;
        let value = Secret::new(format!("Bearer {}", token.expose()));
        let value = sensitive(&value).map_err(|e| self.0.source.named(e))?;
        request.headers_mut().insert(AUTHORIZATION, value);
        Ok(Credential::of(&token.secret))
    }
}
