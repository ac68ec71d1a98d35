//! Who asks, until when, and under which label: passed along, never ambient.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{flag::Flag, payer::Payer};
use crate::{Subject, TenantId};

/// Someone an authenticator vouches for.
///
/// Never built from a message's headers or metadata: those are the sender's own words.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Principal {
    /// Whose data this principal may touch.
    pub tenant: TenantId,
    /// Who it is.
    pub subject: Subject,
    /// What the authenticator checked: `"bearer"`, `"hmac-v1"`, …
    pub method: &'static str,
}

impl Principal {
    /// What an authenticator returns after it has checked the credentials.
    #[must_use]
    pub const fn authenticated(tenant: TenantId, subject: Subject, method: &'static str) -> Self {
        Self { tenant, subject, method }
    }
}

/// How far the words in a call may be trusted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Trust {
    /// Written by the program itself.
    System,
    /// Written by an operator.
    Operator,
    /// Written by an authenticated principal.
    User,
    /// Written by anybody. The default.
    #[default]
    Untrusted,
}

/// May calls act on the world?
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a host must handle both")]
pub enum Effects {
    /// Yes.
    #[default]
    Live,
    /// No: a shadow run or a replay.
    ///
    /// A pure skill is run in this process, any other is refused; no call of an API leaves it.
    Withheld,
}

/// A W3C trace context, checked.
///
/// ```
/// use openclaw_core::TraceParent;
///
/// let ok = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/// assert_eq!(TraceParent::parse(ok).map(|t| t.to_string()).as_deref(), Some(ok));
/// assert!(TraceParent::parse("00-0-0-01").is_none());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// Reads a `traceparent` of version 00; `None` when it is malformed or all zero.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let sizes = [2, 32, 16, 2];
        let ok = sizes.iter().all(|n| parts.next().is_some_and(|p| p.len() == *n && lower_hex(p)));
        let zero =
            |at: std::ops::Range<usize>| text.get(at).is_none_or(|p| p.bytes().all(|b| b == b'0'));
        (ok && parts.next().is_none() && text.starts_with("00") && !zero(3..35) && !zero(36..52))
            .then(|| Self(text.into()))
    }

    /// The first span of a new trace, sampled; zeros are taken as ones.
    #[must_use]
    pub fn start(trace: u128, span: u64) -> Self {
        Self(format!("00-{:032x}-{:016x}-01", trace.max(1), span.max(1)).into())
    }

    /// Another span of the same trace; zero is taken as one.
    #[must_use]
    pub fn child(&self, span: u64) -> Self {
        let flags = self.0.get(53..).unwrap_or("01");
        Self(format!("00-{}-{:016x}-{flags}", self.trace_id(), span.max(1)).into())
    }

    /// The 16 hex digits of the span.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.0.get(36..52).unwrap_or_default()
    }

    /// The 32 hex digits of the trace.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.0.get(3..35).unwrap_or_default()
    }
}

impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

fn lower_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Tells a call that its caller gave up.
///
/// ```
/// use openclaw_core::Cancel;
///
/// let (cancel, watch) = Cancel::pair();
/// assert!(!watch.is_cancelled());
/// cancel.cancel();
/// assert!(watch.is_cancelled());
/// ```
#[derive(Clone, Debug)]
pub struct Cancel(Arc<Flag>);

/// The side that cancels.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<Flag>);

impl Cancel {
    /// Both ends.
    #[must_use]
    pub fn pair() -> (Canceller, Self) {
        let flag = Arc::<Flag>::default();
        (Canceller(Arc::clone(&flag)), Self(flag))
    }

    /// Has the caller given up?
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.is_up()
    }

    /// Waits until the caller gives up; for ever when it never does.
    pub async fn cancelled(&self) {
        self.0.wait().await;
    }
}

impl Canceller {
    /// Gives up; the second time changes nothing.
    pub fn cancel(&self) {
        self.0.raise();
    }
}

/// Who asks, until when, at which attempt. Cheap to clone.
///
/// ```
/// use openclaw_core::{Context, TenantId};
///
/// let cx = Context::new(TenantId::new("acme")?);
/// assert_eq!(cx.attempt(), 1);
/// assert_eq!(cx.next_attempt().attempt(), 2);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[derive(Clone, Debug)]
pub struct Context {
    shared: Arc<Shared>,
    deadline: Option<Instant>,
    attempt: u32,
}

#[derive(Clone, Debug)]
struct Shared {
    tenant: TenantId,
    principal: Option<Principal>,
    trace: Option<TraceParent>,
    trust: Trust,
    effects: Effects,
    cancel: Option<Cancel>,
    payer: Option<Arc<Payer>>,
}

impl Context {
    /// The context of a tenant's first attempt: untrusted, live, without deadline.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        let shared = Shared {
            tenant,
            principal: None,
            trace: None,
            trust: Trust::default(),
            effects: Effects::Live,
            cancel: None,
            payer: None,
        };
        Self { shared: Arc::new(shared), deadline: None, attempt: 1 }
    }

    fn edit(mut self, f: impl FnOnce(&mut Shared)) -> Self {
        f(Arc::make_mut(&mut self.shared));
        self
    }

    /// Names the principal; its words are trusted as a user's.
    #[must_use]
    pub fn with_principal(self, principal: Principal) -> Self {
        self.edit(|s| {
            s.principal = Some(principal);
            s.trust = Trust::User;
        })
    }

    /// Continues a trace.
    #[must_use]
    pub fn with_trace(self, trace: TraceParent) -> Self {
        self.edit(|s| s.trace = Some(trace))
    }

    /// Says whose budgets the call counts in, below its tenant.
    #[must_use]
    pub fn with_payer(self, payer: impl Into<Arc<Payer>>) -> Self {
        self.edit(|s| s.payer = Some(payer.into()))
    }

    /// Sets the trust label.
    #[must_use]
    pub fn with_trust(self, trust: Trust) -> Self {
        self.edit(|s| s.trust = trust)
    }

    /// Withholds or allows effects.
    #[must_use]
    pub fn with_effects(self, effects: Effects) -> Self {
        self.edit(|s| s.effects = effects)
    }

    /// Lets the caller cancel.
    #[must_use]
    pub fn with_cancel(self, cancel: Cancel) -> Self {
        self.edit(|s| s.cancel = Some(cancel))
    }

    /// Narrows the deadline: the nearer of the two holds.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Instant) -> Self {
        self.deadline = Some(self.deadline.map_or(deadline, |now| now.min(deadline)));
        self
    }

    pub(super) fn stamp(&mut self, deadline: Option<Instant>, attempt: u32) {
        self.attempt = attempt;
        self.deadline = match (self.deadline, deadline) {
            (Some(old), Some(new)) => Some(old.min(new)),
            (old, new) => old.or(new),
        };
    }

    /// The same context, one attempt later.
    #[must_use]
    pub fn next_attempt(&self) -> Self {
        Self { attempt: self.attempt.saturating_add(1), ..self.clone() }
    }

    /// The same context at this attempt; the first is 1.
    #[must_use]
    pub fn at_attempt(&self, attempt: u32) -> Self {
        Self { attempt, ..self.clone() }
    }

    /// Whose data it is.
    #[must_use]
    pub fn tenant(&self) -> &TenantId {
        &self.shared.tenant
    }

    /// Who asks, when an authenticator said so.
    #[must_use]
    pub fn principal(&self) -> Option<&Principal> {
        self.shared.principal.as_ref()
    }

    /// The trace this call belongs to.
    #[must_use]
    pub fn trace(&self) -> Option<&TraceParent> {
        self.shared.trace.as_ref()
    }

    /// Whose budgets the call counts in, below its tenant.
    #[must_use]
    pub fn payer(&self) -> Option<&Payer> {
        self.shared.payer.as_deref()
    }

    pub(crate) fn shared_payer(&self) -> Option<&Arc<Payer>> {
        self.shared.payer.as_ref()
    }

    /// How far the words in this call may be trusted.
    #[must_use]
    pub fn trust(&self) -> Trust {
        self.shared.trust
    }

    /// May the call act on the world?
    #[must_use]
    pub fn effects(&self) -> Effects {
        self.shared.effects
    }

    /// Until when an answer is of use.
    #[must_use]
    pub const fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The number of this attempt; the first is 1.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Tells when the caller gives up, if it can.
    #[must_use]
    pub fn cancel(&self) -> Option<&Cancel> {
        self.shared.cancel.as_ref()
    }
}
