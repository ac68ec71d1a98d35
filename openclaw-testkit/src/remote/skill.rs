//! A skill over a counting remote, for any declared effect.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Effects, Error, ErrorKind, InvalidId, Result, SkillId,
    channel::{Intent, Reconcile, Reconciled},
    skill::{Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;

use super::CountingRemote;

/// A [`Skill`] that hands its input to a [`CountingRemote`] under the call's key.
///
/// A `Pure` one only reads; any other is `UNSUPPORTED` while effects are withheld. A `Reconcilable` one answers from the remote's look-up, and says
/// `NotYetKnown` while the look-up lags or a call is still open.
#[derive(Clone, Debug)]
pub struct RemoteSkill {
    manifest: SkillManifest,
    remote: CountingRemote,
}

impl RemoteSkill {
    /// A skill with this manifest.
    #[must_use]
    pub const fn new(manifest: SkillManifest, remote: CountingRemote) -> Self {
        Self { manifest, remote }
    }

    /// A skill of this name, version 1.0.0, with this effect.
    ///
    /// ```
    /// use openclaw_core::{Effect, skill::Skill};
    /// use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
    ///
    /// let bank = CountingRemote::new(RemoteKind::Unkeyed);
    /// let skill = RemoteSkill::named("transfer", Effect::Reconcilable, bank)?;
    /// assert!(skill.reconcile().is_some());
    /// # Ok::<(), openclaw_core::InvalidId>(())
    /// ```
    ///
    /// # Errors
    /// The name is no [`SkillId`].
    pub fn named(name: &str, effect: Effect, remote: CountingRemote) -> Result<Self, InvalidId> {
        let manifest = SkillManifest::new(SkillId::new(name)?, "1.0.0").effect(effect);
        Ok(Self::new(manifest, remote))
    }

    /// The remote behind it.
    #[must_use]
    pub const fn remote(&self) -> &CountingRemote {
        &self.remote
    }
}

#[async_trait]
impl Skill for RemoteSkill {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let pure = call.effect() == Effect::Pure;
        if !pure && call.context().effects() == Effects::Withheld {
            let message = "effects are withheld: only pure skills run";
            return Err(Error::new(ErrorKind::Unsupported, message));
        }
        let answer = if pure {
            self.remote.read(call.payload()).await?
        } else {
            self.remote.call(call.key().map(|key| key.as_str()), call.payload()).await?
        };
        Ok(SkillAnswer::done(answer))
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.manifest.effect == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for RemoteSkill {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        let key = intent.key.as_str();
        // Doubt first: an effect that ends between the two questions is then found.
        let doubt = self.remote.unsettled(key);
        Ok(match (self.remote.lookup(key), doubt) {
            (Some(answer), _) => Reconciled::Happened(Arc::new(answer)),
            (None, Some(retry_after)) => Reconciled::NotYetKnown { retry_after },
            (None, None) => Reconciled::DidNotHappen,
        })
    }
}
