//! Input, rules, replay, claim, mark: one effect a key, and what is refused before it.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Call, Effects, Touches,
    skill::{RouteKey, Skill, SkillManifest},
};
use openclaw_testkit::{fault::Fault, remote::Behaviour};
use tokio::time::sleep;

use super::*;

const DENIED: &str = r#"{ "rules": [{ "name": "never",
    "then": { "deny": { "code": "LIMIT", "reason": "too much" } } }] }"#;

#[tokio::test(start_paused = true)]
async fn an_operation_of_a_run_is_one_effect_across_processes() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let (here, there) = (bank.stack(KEYED, |b| b), bank.stack(KEYED, |b| b));
    let first = pay(&here, "1").await.unwrap();
    for stack in [&here, &there, &here.clone()] {
        assert_eq!(pay(stack, "1").await.unwrap(), first);
    }
    assert_eq!(bank.counts(), (1, 1));
    let by_key = bank.remote.by_key();
    assert_eq!(by_key[0].0, key(&here, "1").as_str(), "the remote gets the key of the call");
    pay(&there, "2").await.unwrap();
    let other = SkillRequest::new(id("pay"), "again", json!({ "amount": 7 }));
    there.run("2").call(&ann(), other).await.unwrap();
    assert_eq!(bank.counts(), (3, 3), "another run, another operation");
    assert_eq!(bank.trace.commits()[..3], ["claim", "dispatch", "settle"]);
}

#[test]
fn a_stack_is_shared_by_threads() {
    const fn shared<T: Clone + Send + Sync + std::fmt::Debug + 'static>() {}
    shared::<SkillStack>();
    shared::<SkillRun>();
}

#[tokio::test(start_paused = true)]
async fn another_tenant_has_keys_of_its_own() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(KEYED, |b| b);
    pay(&stack, "1").await.unwrap();
    let other = Context::new(TenantId::new("globex").unwrap());
    stack.run("1").call(&other, seven()).await.unwrap();
    assert_eq!(bank.counts(), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_good_for_one_skill_and_one_input() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let give = RemoteSkill::named("give", KEYED, bank.remote.clone()).unwrap();
    let read = RemoteSkill::named("read", Effect::Pure, bank.remote.clone()).unwrap();
    let compose = |b: SkillStackBuilder| b.skill(give.clone()).skill(read.clone());
    let (here, there) = (bank.stack(KEYED, compose), bank.stack(KEYED, compose));
    pay(&here, "1").await.unwrap();
    for stack in [&here, &there] {
        for (skill, amount) in [("pay", 8), ("give", 7), ("read", 7)] {
            let other = SkillRequest::new(id(skill), "pay", json!({ "amount": amount }));
            let outcome = stack.run("1").call(&ann(), other).await;
            assert_eq!(reason(&outcome), Some(Reason::KeyReused), "{skill} {amount}");
        }
    }
    assert_eq!(bank.counts(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn two_callers_at_once_are_one_effect() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let (here, there) =
        (bank.stack(Effect::AtMostOnce, |b| b), bank.stack(Effect::AtMostOnce, |b| b));
    bank.remote.script([Behaviour::AnswerLate(10 * S)]);
    let elsewhere = async {
        sleep(S).await;
        pay(&there, "1").await
    };
    let (first, second, third) = tokio::join!(pay(&here, "1"), pay(&here, "1"), elsewhere);
    assert_eq!(first.unwrap(), second.unwrap(), "they share the outcome");
    assert_eq!(reason(&third), Some(Reason::InProgress));
    assert!(third.unwrap_err().retry_after().is_some());
    assert_eq!(bank.counts(), (1, 1));
    assert_eq!(here.snapshot().in_flight, 0);
}

/// A skill that fails for good like this, and counts its runs.
#[derive(Debug)]
struct Fails {
    manifest: SkillManifest,
    runs: Arc<AtomicU32>,
    kind: ErrorKind,
    happened: Happened,
}

#[async_trait]
impl Skill for Fails {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, _: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.runs.fetch_add(1, Ordering::SeqCst);
        Err(Error::new(self.kind, "it went wrong").with_happened(self.happened))
    }
}

#[tokio::test(start_paused = true)]
async fn a_definite_failure_is_told_again_and_not_made_again() {
    for (kind, happened) in [
        (ErrorKind::NotFound, Happened::No),
        // Its own check of an output that breaks the contract.
        (ErrorKind::ValidationError, Happened::Yes),
    ] {
        let (bank, runs) = (Bank::new(RemoteKind::Unkeyed), Arc::<AtomicU32>::default());
        let start = || {
            let manifest = SkillManifest::new(id("pay"), "1.0.0").effect(KEYED);
            bank.bare(|b| b.skill(Fails { manifest, runs: Arc::clone(&runs), kind, happened }))
        };
        let (here, there) = (start(), start());
        assert_eq!(told(pay(&here, "1").await), (kind, happened));
        for stack in [&here, &there] {
            let e = pay(stack, "1").await.unwrap_err();
            assert_eq!((e.kind(), e.happened()), (kind, happened));
            assert_eq!(word(&e, "replayed"), "true");
        }
        assert_eq!(runs.load(Ordering::SeqCst), 1, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_rule_denies_is_audited_and_leaves_nothing_else() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let rules = Rules::from_json(DENIED).unwrap();
    for effect in [KEYED, Effect::Pure] {
        let stack = bank.stack(effect, |b| b.authorizer(rules.clone()));
        let e = pay(&stack, "1").await.unwrap_err();
        assert_eq!((e.kind(), word(&e, "code")), (ErrorKind::PermissionDenied, "LIMIT".to_owned()));
    }
    let trail = bank.trail().await;
    assert_eq!(trail.len(), 2);
    assert_eq!((&trail[0].action, &*trail[0].note), (&AuditAction::CallDenied, "LIMIT"));
    assert_eq!(&*trail[0].subject, "pay/pay");
    assert_eq!((bank.counts(), bank.rows_of("ik").await), ((0, 0), 0));
}

#[tokio::test(start_paused = true)]
async fn a_rule_that_changes_its_mind_stops_what_was_not_sent() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    bank.plan.fail_next("dispatch", 1);
    let before = bank.stack(KEYED, |b| b);
    assert_eq!(reason(&pay(&before, "1").await), Some(Reason::NotRecorded));
    assert_eq!(record(&before, "1").await.state.name(), "claimed");
    let strict = bank.stack(KEYED, |b| b.authorizer(Rules::from_json(DENIED).unwrap()));
    assert_eq!(told(pay(&strict, "1").await).0, ErrorKind::PermissionDenied);
    assert_eq!(bank.audited(AuditAction::CallDenied).await, 1);
    let asking = bank.stack(KEYED, |b| b.authorizer(one()));
    let e = pay(&asking, "1").await.unwrap_err();
    assert_eq!(
        (e.kind(), e.happened(), e.is_exhausted()),
        (ErrorKind::Conflict, Happened::No, true)
    );
    assert_eq!(bank.counts(), (0, 0));
    pay(&before, "1").await.unwrap();
    assert_eq!(pay(&strict, "1").await.unwrap(), pay(&asking, "1").await.unwrap());
    assert_eq!(bank.counts(), (1, 1), "what is done is answered, whatever the rules say by now");
}

#[tokio::test(start_paused = true)]
async fn withheld_effects_never_reach_the_remote() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let shadow = ann().with_effects(Effects::Withheld);
    for effect in [KEYED, Effect::AtMostOnce, Effect::AtLeastOnce, Effect::Reconcilable] {
        let stack = bank.stack(effect, |b| b);
        for _ in 0..2 {
            let outcome = stack.run("1").call(&shadow, seven()).await;
            assert_eq!(told(outcome), (ErrorKind::Unsupported, Happened::No), "{effect:?}");
        }
    }
    let asking = bank.stack(KEYED, |b| b.authorizer(one()));
    let outcome = asking.run("1").call(&shadow, seven()).await;
    assert_eq!(told(outcome).0, ErrorKind::Unsupported, "and nobody is asked");
    let denied = bank.stack(Effect::Pure, |b| b.authorizer(Rules::from_json(DENIED).unwrap()));
    let outcome = denied.run("1").call(&shadow, seven()).await;
    assert_eq!(told(outcome).0, ErrorKind::PermissionDenied);
    assert_eq!((bank.counts(), bank.trace.commits().len()), ((0, 0), 0));
    let pure = bank.stack(Effect::Pure, |b| b);
    pure.run("1").call(&shadow, seven()).await.unwrap();
    assert_eq!(bank.counts(), (0, 1), "a read goes through");
}

#[tokio::test(start_paused = true)]
async fn a_pure_call_has_no_record_and_runs_each_time() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(Effect::Pure, |b| b);
    for n in 1..=3 {
        pay(&stack, "1").await.unwrap();
        assert_eq!(bank.counts(), (0, n));
    }
    assert_eq!(bank.trace.commits().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn input_that_breaks_the_contract_costs_nothing() {
    /// A skill that takes numbers.
    #[derive(Debug)]
    struct Numbers(SkillManifest);

    #[async_trait]
    impl Skill for Numbers {
        fn manifest(&self) -> &SkillManifest {
            &self.0
        }

        async fn run(&self, _: Call<Arc<Value>>) -> Result<SkillAnswer> {
            Ok(SkillAnswer::done(json!("counted")))
        }

        fn validate(&self, input: &Value) -> Result<()> {
            let no = || Error::new(ErrorKind::ValidationError, "it is no number");
            input.as_u64().map(drop).ok_or_else(|| no().with_happened(Happened::No))
        }
    }

    let bank = Bank::new(RemoteKind::Unkeyed);
    let compose = |b: SkillStackBuilder| {
        b.skill(Numbers(SkillManifest::new(id("count"), "1.0.0"))).authorizer(one())
    };
    let stack = bank.bare(compose);
    let run = stack.run("1");
    let under = |operation: &str, input| SkillRequest::new(id("count"), operation, input);
    let count = |input| under("count", input);
    let refused = run.call(&ann(), count(json!("seven"))).await;
    assert_eq!(told(refused), (ErrorKind::ValidationError, Happened::No));
    let refused = run.call(&ann(), under("two words", json!(7))).await;
    assert_eq!(told(refused), (ErrorKind::ValidationError, Happened::No));
    assert_eq!(bank.trace.commits().len(), 0, "nobody was asked");
    asked(run.call(&ann(), count(json!(7))).await);
    let missing = SkillRequest::new(id("nothing"), "pay", json!(7));
    assert_eq!(told(run.call(&ann(), missing).await), (ErrorKind::NotFound, Happened::No));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_fails_lets_nothing_run_unrecorded() {
    for (label, effects) in [("read", 0), ("claim", 0), ("dispatch", 0), ("settle", 1)] {
        let bank = Bank::new(RemoteKind::Unkeyed);
        let stack = bank.stack(Effect::AtMostOnce, |b| b);
        bank.plan.next(label, 1, Fault::Fail);
        let outcome = pay(&stack, "1").await;
        assert_eq!(bank.remote.effects_total(), effects, "{label}");
        if effects == 0 {
            assert_eq!(reason(&outcome), Some(Reason::NotRecorded), "{label}");
            pay(&stack, "1").await.unwrap();
        } else {
            assert_eq!(told(outcome).1, Happened::Maybe, "{label}");
            assert_eq!(reason(&pay(&stack, "1").await), Some(Reason::InDoubt));
        }
        assert_eq!(bank.remote.effects_total(), 1, "{label}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_finished_key_counts_for_its_retention_and_its_rows_are_swept() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let stack = bank.stack(KEYED, |b| b.retention(HOUR).authorizer(one()));
    let request = asked(pay(&stack, "1").await);
    says(&stack, "bob", &request, Vote::yes()).await.unwrap();
    pay(&stack, "1").await.unwrap();
    assert_eq!(stack.sweep(&tenant()).await.unwrap(), 0);
    sleep(HOUR).await;
    assert_eq!(stack.sweep(&tenant()).await.unwrap(), 1, "the record");
    assert_eq!((bank.rows_of("ik").await, bank.rows_of("il").await), (0, 0));
    let e = pay(&stack, "1").await.unwrap_err();
    assert!(e.is_exhausted(), "the approval was used: {e}");
    let open = asked(pay(&stack, "2").await);
    sleep(30 * 24 * HOUR).await;
    assert_eq!(stack.sweep(&tenant()).await.unwrap(), 1, "what was asked for it");
    approval(&stack, &open).await;
    assert_eq!(asked(pay(&stack, "1").await), request, "asked anew, long behind its time");
    sleep(HOUR).await;
    assert_eq!(stack.sweep(&tenant()).await.unwrap(), 1);
    assert!(stack.approvals(&tenant()).get(&open).await.unwrap().is_none());
    assert_eq!(bank.counts(), (1, 1));
}

/// A skill that has `pay` do its work, twice.
#[derive(Debug)]
struct Twice(SkillManifest);

#[async_trait]
impl Skill for Twice {
    fn manifest(&self) -> &SkillManifest {
        &self.0
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        let port = call.skills().unwrap();
        let forged = Context::new(TenantId::new("mallory").unwrap());
        for operation in ["one", "two"] {
            let request = SkillRequest::new(id("pay"), operation, json!({ "amount": 7 }));
            port.call(&forged, request).await?;
        }
        Ok(SkillAnswer::done(json!("both")))
    }
}

#[tokio::test(start_paused = true)]
async fn a_skill_that_calls_others_has_them_guarded_one_by_one() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let twice = || Twice(SkillManifest::new(id("twice"), "1.0.0").calls(id("pay")));
    let rules = json!({ "rules": [{ "name": "money", "when": { "skills": ["pay"] },
        "then": { "require_approval": { "reason": "it is money" } } }], "default": "allow" });
    let rules = Rules::from_json(&rules.to_string()).unwrap();
    let start = || bank.stack(KEYED, |b| b.skill(twice()).authorizer(rules.clone()));
    let both = || SkillRequest::new(id("twice"), "both", json!({}));
    for part in 0..2 {
        let stack = start();
        let request = asked(stack.run("1").call(&ann(), both()).await);
        assert_eq!(bank.counts(), (part, part));
        says(&stack, "bob", &request, Vote::yes()).await.unwrap();
    }
    let stack = start();
    let answer = stack.run("1").call(&ann(), both()).await.unwrap();
    assert_eq!((answer, bank.counts()), (SkillAnswer::done(json!("both")), (2, 2)));
    stack.run("1").call(&ann(), both()).await.unwrap();
    assert_eq!(bank.counts(), (2, 2), "the parts answer from their records");
    for operation in ["both.one", "both.two"] {
        let key = stack.run("1").key(operation).unwrap();
        let found = stack.record(&tenant(), &key).await.unwrap().unwrap();
        assert_eq!(found.state.name(), "done", "under the tenant of the call");
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_not_work_is_refused_at_the_start() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let build = |b: SkillStackBuilder| b.build().unwrap_err().kind();
    let stack = || SkillStack::builder(bank.store(), bank.env.clone());
    let pay = || RemoteSkill::named("pay", KEYED, bank.remote.clone()).unwrap();
    let twice = SkillManifest::new(id("twice"), "1.0.0").calls(id("pay"));
    assert_eq!(build(stack().skill(pay()).skill(pay())), ErrorKind::ValidationError);
    assert_eq!(build(stack().skill(Twice(twice.clone()))), ErrorKind::ValidationError);
    let writes = SkillManifest::new(id("pay"), "1.0.0").effect(KEYED).touches(Touches::WRITES);
    let writes = RemoteSkill::new(writes, bank.remote.clone());
    assert_eq!(build(stack().skill(writes).skill(Twice(twice))), ErrorKind::ValidationError);
}

#[tokio::test(start_paused = true)]
async fn rules_see_the_agent_and_a_list_the_route() {
    let bank = Bank::new(RemoteKind::Unkeyed);
    let rules = json!({ "rules": [{ "name": "robots", "when": { "agents": ["robot"] },
        "then": { "deny": { "code": "NO_ROBOTS", "reason": "no robots" } } }], "default": "allow" });
    let rules = Rules::from_json(&rules.to_string()).unwrap();
    let stack = bank.stack(KEYED, |b| b.authorizer(rules));
    let robot = stack.run("1").by(AgentId::new("robot").unwrap());
    assert_eq!(told(robot.call(&ann(), seven()).await).0, ErrorKind::PermissionDenied);
    let clerk = stack.run("1").by(AgentId::new("clerk").unwrap());
    clerk.call(&ann(), seven()).await.unwrap();
    let run: SkillRun = clerk.route(RouteKey::new("conversation-7"));
    let shown: Vec<&str> = run.manifests().iter().map(|manifest| manifest.id.as_str()).collect();
    assert_eq!(shown, ["pay"]);
}
