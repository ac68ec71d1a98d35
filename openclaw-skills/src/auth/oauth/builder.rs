//! Making a grant: end points, client, scopes, and who is told.

use std::{fmt, sync::Arc, time::Duration};

use openclaw_core::{
    Digest, Env, Result, Secret, TenantId,
    http::Http,
    store::{SharedStore, StoreTime},
};

use super::{
    ClientAuth, Inner, OAuth,
    decide::Flow,
    endpoint::{Endpoint, Field},
    event::{AuthEvent, Listeners},
    renew::Source,
    rows::Rows,
};
use crate::{
    address::for_credentials,
    flight::{Abandoned, Flight},
    secrets::{SecretRef, Secrets},
};

/// Makes an [`OAuth`] grant.
#[derive(Clone)]
#[must_use = "end it with `build`"]
pub struct OAuthBuilder {
    grant: String,
    flow: Flow,
    token_endpoint: String,
    client_id: String,
    client_secret: Option<SecretRef>,
    client_auth: ClientAuth,
    consent: Option<(String, String)>,
    consent_fields: Vec<(&'static str, String)>,
    issuer: Option<String>,
    revocation: Option<String>,
    scopes: Vec<String>,
    extra: Vec<Field>,
    skew: Duration,
    timeout: Duration,
    listeners: Listeners,
    audited: bool,
    shared: bool,
}

impl OAuthBuilder {
    pub(super) fn new(
        flow: Flow,
        grant: String,
        token_endpoint: String,
        client_id: String,
    ) -> Self {
        Self {
            grant,
            flow,
            token_endpoint,
            client_id,
            client_secret: None,
            client_auth: ClientAuth::default(),
            consent: None,
            consent_fields: Vec::new(),
            issuer: None,
            revocation: None,
            scopes: Vec::new(),
            extra: Vec::new(),
            skew: Duration::from_secs(300),
            timeout: Duration::from_secs(20),
            listeners: Listeners::default(),
            audited: false,
            shared: false,
        }
    }

    /// Where the client's secret lies. None: a public client.
    pub fn client_secret(mut self, secret: SecretRef) -> Self {
        self.client_secret = Some(secret);
        self
    }

    /// How the client shows its secret. In the header `Authorization`.
    pub const fn client_auth(mut self, auth: ClientAuth) -> Self {
        self.client_auth = auth;
        self
    }

    /// Where a person consents, and where the browser goes then, with the code.
    pub fn consent(
        mut self,
        authorization_endpoint: impl Into<String>,
        redirect_uri: impl Into<String>,
    ) -> Self {
        self.consent = Some((authorization_endpoint.into(), redirect_uri.into()));
        self
    }

    /// The server's `issuer` (RFC 9207): a consent must come back with this one.
    ///
    /// Set it wherever the server's metadata says `authorization_response_iss_parameter_supported`.
    /// An answer that another server slipped in is refused then, and its code goes nowhere.
    pub fn issuer(mut self, issuer: impl Into<String>) -> Self {
        self.issuer = Some(issuer.into());
        self
    }

    /// Where the server revokes tokens (RFC 7009), for [`OAuth::hand_back`].
    pub fn revocation(mut self, endpoint: impl Into<String>) -> Self {
        self.revocation = Some(endpoint.into());
        self
    }

    /// Adds a scope to ask for.
    pub fn scope(mut self, scope: impl Into<String>) -> Self {
        self.scopes.push(scope.into());
        self
    }

    /// Adds a field to the address of the consent: `audience`, `prompt`. Never a secret.
    pub fn consent_field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.consent_fields.push((name, value.into()));
        self
    }

    /// Adds a field to each request for tokens: `audience`, `resource`.
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.extra.push((name, Secret::new(value)));
        self
    }

    /// How long before its end a token is replaced. 300 s.
    pub const fn skew(mut self, skew: Duration) -> Self {
        self.skew = skew;
        self
    }

    /// How long one request for tokens may take. 20 s; 30 s at most.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(Duration::from_secs(30));
        self
    }

    /// Tells what becomes of the grant. The listener must not block.
    pub fn on_event(mut self, listener: impl Fn(&AuthEvent) + Send + Sync + 'static) -> Self {
        self.listeners.add(listener);
        self
    }

    /// Notes consents and ends in the audit trail, in the commit of the decision.
    ///
    /// Only where the store is the gateway's own, and sealed as the gateway has it: who reads the
    /// trail could not read its entries otherwise.
    pub const fn audited(mut self) -> Self {
        self.audited = true;
        self
    }

    /// Signs the calls of all tenants: it is the company's own. Else those of its tenant only.
    pub const fn for_all_tenants(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The grant, of this tenant.
    ///
    /// # Errors
    /// `VALIDATION_ERROR` when an address is none, or is plain HTTP to another machine.
    pub fn build(
        self,
        http: impl Http,
        secrets: Secrets,
        store: SharedStore,
        tenant: TenantId,
        env: Env,
    ) -> Result<OAuth> {
        let uri = for_credentials(&self.token_endpoint, "the token end point")?;
        let consent = match self.consent {
            Some((at, back)) => Some((for_credentials(&at, "the authorization end point")?, back)),
            None => None,
        };
        let revocation = self.revocation.as_deref();
        let revocation =
            revocation.map(|at| for_credentials(at, "the revocation end point")).transpose()?;
        let scope = Some(self.scopes.join(" ")).filter(|scope| !scope.is_empty());
        let (mut fields, mut consent_fields) = (self.extra, self.consent_fields);
        match (scope, self.flow) {
            (Some(scope), Flow::Client) => fields.push(("scope", Secret::new(scope))),
            (Some(scope), Flow::Person) => consent_fields.push(("scope", scope)),
            (None, _) => {}
        }
        let client = Digest::of("openclaw.oauth.client", [&self.token_endpoint, &self.client_id]);
        let endpoint = Endpoint {
            http: Arc::new(http),
            secrets,
            tenant: tenant.clone(),
            uri,
            client_id: self.client_id,
            client_secret: self.client_secret,
            client_auth: self.client_auth,
            timeout: self.timeout,
        };
        let revocation = revocation.map(|uri| Endpoint { uri, ..endpoint.clone() });
        let grant: Arc<str> = self.grant.into();
        let time = StoreTime::new(env.clone());
        let source = Source {
            rows: Rows::new(store, time, tenant, Arc::clone(&grant), self.audited),
            grant,
            shared: self.shared,
            flow: self.flow,
            client,
            holder: env.next_u64(),
            skew: self.skew,
            fields,
            endpoint,
            env,
            listeners: self.listeners,
            memory: std::sync::Mutex::default(),
        };
        let (source, flight) = (Arc::new(source), Flight::new(Abandoned::GoesOn));
        let issuer = self.issuer;
        let inner = Inner { source, flight, consent, consent_fields, issuer, revocation };
        Ok(OAuth(Arc::new(inner)))
    }
}

impl fmt::Debug for OAuthBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthBuilder")
            .field("grant", &self.grant)
            .field("client_id", &self.client_id)
            .finish_non_exhaustive()
    }
}
