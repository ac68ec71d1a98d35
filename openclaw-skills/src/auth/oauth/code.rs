//! A person's consent: the address to go to, and the code that comes back.

use std::{fmt, sync::Arc};

use openclaw_core::{
    Digest, Env, Error, ErrorKind, Result, Secret,
    records::{AuditAction, AuditEntry},
    store::Version,
};
use tokio::time::Instant;

use super::{
    OAuth,
    decide::{self, Flow, LEASE},
    record::{Hidden, Record},
    renew::Source,
    rows::Written,
};
use crate::{auth::base64, percent};

/// How often new tokens are written over a row that others write.
const TRIES: usize = 16;

/// A consent that was begun: where the person goes, and what must come back.
#[derive(Clone)]
pub struct Begun {
    url: String,
    state: Secret,
}

impl Begun {
    /// Where the person consents, in a browser.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the browser brings back. Keep it with the person's session, and compare: a consent
    /// that somebody else began must not end in this session.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.expose()
    }
}

impl fmt::Debug for Begun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begun(***)")
    }
}

impl OAuth {
    /// Begins a consent, with PKCE (S256). It has ten minutes, and may end in another process.
    ///
    /// # Errors
    /// `UNSUPPORTED` when the grant was built without [`consent`](super::OAuthBuilder::consent);
    /// else the store does not answer.
    pub async fn begin(&self) -> Result<Begun> {
        let source = &self.0.source;
        let named = |e| source.named(e);
        let Some((endpoint, redirect)) = &self.0.consent else {
            let message = "this grant knows no place for a consent: build it with one";
            return Err(named(Error::new(ErrorKind::Unsupported, message)));
        };
        let (state, verifier) = (random(&source.env), random(&source.env));
        source.rows.begin(state.expose(), &Hidden(verifier.clone())).await.map_err(named)?;
        let challenge = Digest::sha256(verifier.expose().as_bytes());
        let challenge = base64::url_safe(challenge.as_bytes());
        let mut query = vec![
            ("response_type", "code"),
            ("client_id", source.endpoint.client_id.as_str()),
            ("redirect_uri", redirect.as_str()),
            ("state", state.expose()),
            ("code_challenge", challenge.as_str()),
            ("code_challenge_method", "S256"),
        ];
        query.extend(self.0.consent_fields.iter().map(|(name, value)| (*name, value.as_str())));
        let mark = if endpoint.query().is_some() { '&' } else { '?' };
        let url = format!("{endpoint}{mark}{}", percent::form(query));
        Ok(Begun { url, state })
    }

    /// Ends a consent with what the browser brought back. Each state works once.
    ///
    /// `issuer` is the field `iss` of the address that the browser was sent back to, decoded; it
    /// is compared where the grant was built with an [`issuer`](super::OAuthBuilder::issuer).
    /// The grant is renewed by it, whatever became of it before. It goes on when its caller leaves;
    /// [`OAuth::settle`] waits for it.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` when no consent waits for this state, or the answer is of another
    /// issuer: the code is not sent then. `AUTHENTICATION_FAILED` when the server does not accept
    /// the code; else what went wrong there: begin anew. Or the store does not answer: what the
    /// server has issued is kept here then, and stored before its first use.
    pub async fn finish(&self, code: &Secret, state: &str, issuer: Option<&str>) -> Result<()> {
        let source = &self.0.source;
        let named = |e| source.named(e);
        let Some((_, redirect)) = &self.0.consent else {
            let message = "this grant knows no place for a consent: build it with one";
            return Err(named(Error::new(ErrorKind::Unsupported, message)));
        };
        if self.0.issuer.as_deref().is_some_and(|ours| issuer != Some(ours)) {
            let message = "the consent came back from another issuer, or from none";
            return Err(named(Error::new(ErrorKind::PermissionDenied, message)));
        }
        let (source, code) = (Arc::clone(source), code.clone());
        let (redirect, state) = (Secret::new(redirect.as_str()), Secret::new(state));
        let exchange = async move { source.exchange(code, redirect, state.expose()).await };
        self.0.flight.alone(exchange).await
    }

    /// Takes over a refresh token that the host has from elsewhere.
    ///
    /// # Errors
    /// `UNSUPPORTED` for a grant of client credentials; else the store does not answer.
    pub async fn adopt(&self, refresh_token: Secret) -> Result<()> {
        let source = &self.0.source;
        if source.flow != Flow::Person {
            let message = "client credentials have no refresh token";
            return Err(source.named(Error::new(ErrorKind::Unsupported, message)));
        }
        // Tokens that others have asked for before are older than this.
        let adopted = |record: Record| Record {
            generation: record.generation + 1,
            refresh: Some(Hidden(refresh_token.clone())),
            ..record
        };
        source.replace(adopted).await.map_err(|e| source.named(e))
    }
}

impl Source {
    /// Has the code exchanged for tokens, and stores them.
    async fn exchange(&self, code: Secret, redirect: Secret, state: &str) -> Result<()> {
        let named = |e| self.named(e);
        let verifier = self.rows.take(state).await.map_err(named)?;
        let mut fields = self.fields.clone();
        fields.extend([
            ("grant_type", Secret::new("authorization_code")),
            ("code", code),
            ("redirect_uri", redirect),
            ("code_verifier", verifier.0),
        ]);
        let began = self.rows.now();
        let asked = self.endpoint.ask(&fields, Instant::now() + LEASE).await;
        let granted = asked.map_err(|denied| named(denied.error))?;
        let new = |record| decide::granted(record, granted.clone(), self.skew, began);
        let stored = self.replace(new).await;
        if stored.is_err() {
            // The code is used up: only this process knows these tokens.
            self.keep_consented(new(Record::new(self.client, 0)));
        }
        stored.map_err(named)
    }

    /// Writes a new record, made from an empty one, over whatever is there.
    async fn replace(&self, new: impl Fn(Record) -> Record + Send + Sync) -> Result<()> {
        for _ in 0..TRIES {
            let (old, version) = self.rows.read().await?.unzip();
            let generation = old.map_or(0, |record| record.generation);
            let record = new(Record::new(self.client, generation));
            if self.authorise(version, &record).await? != Written::Lost {
                self.forget();
                if let Some(tokens) = &record.tokens {
                    self.tell_renewed(tokens);
                }
                return Ok(());
            }
        }
        Err(Error::new(ErrorKind::Conflict, "others change the grant all the time"))
    }

    /// Writes the record of a grant that a person has authorised, with the entry that says so.
    pub(super) async fn authorise(
        &self,
        before: Option<Version>,
        record: &Record,
    ) -> Result<Written> {
        let (now, grant) = (self.rows.now(), Arc::clone(&self.grant));
        let entry = AuditEntry::apart(now, AuditAction::GrantAuthorised, grant);
        self.rows.decide(before, record, &entry).await
    }
}

/// 256 random bits, as 43 characters that need no escape.
fn random(env: &Env) -> Secret {
    let bytes: Vec<u8> = (0..4).flat_map(|_| env.next_u64().to_be_bytes()).collect();
    Secret::new(base64::url_safe(&bytes))
}
