//! Outputs that break the contract: what is done stays done, and nobody gets them.

use async_trait::async_trait;
use openclaw_core::{
    Call,
    channel::Reconcile,
    records::EffectState,
    skill::{Skill, SkillManifest},
};
use openclaw_testkit::remote::Behaviour;

use super::*;

/// A skill that takes no answer of its remote.
#[derive(Debug)]
struct Picky(RemoteSkill);

#[async_trait]
impl Skill for Picky {
    fn manifest(&self) -> &SkillManifest {
        self.0.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.0.run(call).await
    }

    fn validate_output(&self, _: &Value) -> Result<()> {
        Err(Error::new(ErrorKind::ValidationError, "/receipt: it is missing"))
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        Skill::reconcile(&self.0)
    }
}

fn picky(bank: &Bank, effect: Effect) -> SkillStack {
    let skill = Picky(RemoteSkill::named("pay", effect, bank.remote.clone()).unwrap());
    bank.bare(|b| b.skill(skill))
}

#[tokio::test(start_paused = true)]
async fn an_output_that_breaks_the_contract_is_done_and_told_of_for_good() {
    for effect in [KEYED, Effect::AtMostOnce, Effect::AtLeastOnce] {
        let bank = Bank::new(RemoteKind::Unkeyed);
        let stack = picky(&bank, effect);
        for stack in [&stack, &stack, &picky(&bank, effect)] {
            let e = pay(stack, "1").await.unwrap_err();
            assert_eq!((e.kind(), e.happened()), (ErrorKind::ValidationError, Happened::Yes));
            assert!(e.to_string().contains("/receipt"), "{e}");
        }
        assert_eq!(bank.counts(), (1, 1), "{effect:?}");
        let output = SkillAnswer::done(json!({ "effect": 1 }));
        assert_eq!(record(&stack, "1").await.state, EffectState::Done { answer: output });
        assert_eq!(bank.audited(AuditAction::OutputBroken).await, 1, "{effect:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_owner_finds_is_judged_too() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = picky(&bank, Effect::Reconcilable);
    bank.remote.script([Behaviour::LoseAnswer]);
    assert_eq!(told(pay(&stack, "1").await), (ErrorKind::Unavailable, Happened::Maybe));
    for stack in [&stack, &picky(&bank, Effect::Reconcilable)] {
        assert_eq!(told(pay(stack, "1").await), (ErrorKind::ValidationError, Happened::Yes));
    }
    assert_eq!((bank.counts(), record(&stack, "1").await.state.name()), ((1, 1), "done"));
    assert_eq!(bank.audited(AuditAction::OutputBroken).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_read_with_a_broken_output_did_nothing_and_leaves_nothing() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = picky(&bank, Effect::Pure);
    for calls in 1..=2 {
        assert_eq!(told(pay(&stack, "1").await), (ErrorKind::ValidationError, Happened::No));
        assert_eq!(bank.counts(), (0, calls));
    }
    assert_eq!(bank.rows_of("ik").await, 0);
}
