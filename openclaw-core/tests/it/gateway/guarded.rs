//! The guarded call: what rules and people say of it, across suspensions and restarts.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    AgentId, Effect, ErrorKind, MessageId, Principal, Result, SkillId, Subject, TenantId,
    agent::{Agent, Answer, Turn, Waiting, agent_fn},
    gateway::MessageState,
    records::{Approval, ApprovalState, Approvals, AuditAction, EffectState, Vote},
    rules::Rules,
    skill::{SkillAnswer, SkillRequest},
};
use openclaw_testkit::{
    fault::{Fault, FaultAgent, Plan},
    platform::Sending,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
    trace::Event,
};
use serde_json::{Value, json};

use crate::support::{Run, World, tenant};

/// More than is open at once.
const MANY: NonZeroUsize = NonZeroUsize::new(100).unwrap();

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn person(name: &str) -> Principal {
    Principal::authenticated(tenant(), Subject::new(name).unwrap(), "test")
}

/// Rules that ask for an approval of everything, on these terms.
pub(super) fn asks(terms: &Value) -> Rules {
    let rules = json!({ "rules": [{ "name": "all", "then": { "require_approval": terms } }] });
    Rules::from_json(&rules.to_string()).unwrap()
}

pub(super) fn one() -> Rules {
    asks(&json!({ "ttl": "1h", "reason": "it is money" }))
}

/// Pays what it is told by `input`, and gives up while nobody has decided.
fn payer(input: impl Fn(&Turn) -> Value + Send + Sync + 'static) -> impl Agent {
    agent_fn(AgentId::new("payer").unwrap(), move |mut turn| {
        let input = input(&turn);
        async move { said(turn.skill("pay", "pay", input).await) }
    })
}

/// The agent's words for what became of a payment.
pub(super) fn said(paid: Result<SkillAnswer>) -> Result<Answer> {
    match paid {
        Ok(_) => Ok(Answer::text("paid")),
        Err(e) if e.kind() == ErrorKind::ApprovalRequired && !e.is_exhausted() => Err(e),
        Err(e) => Ok(Answer::text(format!("{}: {}", e.kind(), e.public()))),
    }
}

fn seven(_: &Turn) -> Value {
    json!({ "to": "bob", "amount": 7 })
}

/// A world with a bank.
pub(super) struct Bank {
    pub(super) world: World,
    pub(super) remote: CountingRemote,
    rules: Rules,
    effect: Effect,
}

impl Bank {
    pub(super) fn new(rules: Rules) -> Self {
        let remote = CountingRemote::new(RemoteKind::Unkeyed);
        Self { world: World::new(1), remote, rules, effect: Effect::AtMostOnce }
    }

    pub(super) async fn start(&self, agent: impl Agent) -> Run {
        let skill = RemoteSkill::named("pay", self.effect, self.remote.clone()).unwrap();
        let rules = self.rules.clone();
        self.world.start(|b| b.agent(agent).skill(skill).authorizer(rules)).await
    }

    /// Somebody says "pay", and the turn waits for an approval.
    async fn waits(&self, run: &Run) -> (MessageId, Arc<str>) {
        let message = self.world.tell("c1", "m1", "pay").await;
        (message, self.asked(run, message).await)
    }

    /// The approval that a turn waits for, once it does.
    pub(super) async fn asked(&self, run: &Run, message: MessageId) -> Arc<str> {
        while state(run, message).await != MessageState::Waiting {
            tokio::task::yield_now().await;
        }
        let open = self.approvals().open(None, MANY).await.unwrap().0;
        let ours = |approval: &Approval| approval.asked.as_ref().unwrap().turn == message;
        open.into_iter().find(|(_, approval)| ours(approval)).unwrap().0
    }

    pub(super) fn approvals(&self) -> Approvals {
        Approvals::new(Arc::new(self.world.rows.clone()), tenant())
    }

    pub(super) async fn state(&self, id: &str) -> ApprovalState {
        self.approvals().get(id).await.unwrap().unwrap().state
    }

    fn texts(&self) -> Vec<String> {
        self.world.platform.texts()
    }
}

async fn state(run: &Run, message: MessageId) -> MessageState {
    run.status(&tenant(), message).await.unwrap().unwrap().state
}

#[tokio::test(start_paused = true)]
async fn a_call_waits_for_a_yes_and_its_claim_consumes_it() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&run).await;
    let approval = bank.approvals().get(&id).await.unwrap().unwrap();
    let asked = approval.asked.unwrap();
    assert_eq!((&*asked.skill, &*asked.version, &*asked.operation), ("pay", "1.0.0", "pay"));
    assert_eq!(
        (&*asked.agent, &*asked.sender, &*asked.input),
        ("payer", "ann", &json!({ "to": "bob", "amount": 7 }))
    );
    assert_eq!((bank.texts().len(), bank.remote.calls_total()), (0, 0));
    let vote = Vote::yes().because("as agreed");
    assert_eq!(
        run.decide_approval(&person("carol"), &id, vote).await.unwrap(),
        ApprovalState::Granted
    );
    run.ends(message, MessageState::Done).await;
    assert_eq!((bank.texts(), bank.remote.effects_total()), (vec!["paid".to_owned()], 1));
    assert_eq!(bank.state(&id).await, ApprovalState::Consumed);
    let (_, record) = run.ledger(&tenant()).of_turn(message).await.unwrap().remove(0);
    assert_eq!((record.approval, record.request), (Some(id), asked.input), "what was approved ran");
    let commits: Vec<&str> = bank.world.trace.events().iter().filter_map(writes_approval).collect();
    assert_eq!(commits, ["request", "vote", "claim"]);
    let trail = run.audit(&tenant()).entries().await.unwrap();
    let about = |action: AuditAction| trail.iter().filter(|e| e.action == action).count();
    let steps =
        [AuditAction::ApprovalRequested, AuditAction::ApprovalGranted, AuditAction::Resumed];
    assert_eq!(steps.map(about), [1, 1, 1], "{trail:?}");
    let granted = trail.iter().find(|e| e.action == AuditAction::ApprovalGranted).unwrap();
    assert!(&*granted.subject == "carol" && granted.note.contains("as agreed"), "{granted:?}");
}

/// The label of a commit that writes an approval.
fn writes_approval(event: &Event) -> Option<&'static str> {
    match event {
        Event::Commit { label, rows } => {
            let approval = |(key, _): &(Vec<u8>, _)| key.windows(4).any(|part| part == b"\0\x02ap");
            rows.iter().any(approval).then_some(*label)
        }
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_no_says_who_and_why_and_nothing_is_done() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&run).await;
    run.decide_approval(&person("carol"), &id, Vote::no().because("too much")).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["PERMISSION_DENIED: carol said no: too much"]);
    assert_eq!((bank.remote.calls_total(), bank.state(&id).await), (0, ApprovalState::Denied));
    let late = run.decide_approval(&person("dave"), &id, Vote::yes()).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Conflict);
}

#[tokio::test(start_paused = true)]
async fn a_yes_that_comes_before_the_turn_waits_is_heard() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    run.plan.delay("turn", Duration::from_secs(10));
    let message = bank.world.tell("c1", "m1", "pay").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let open = bank.approvals().open(None, MANY).await.unwrap().0;
    run.decide_approval(&person("carol"), &open[0].0, Vote::yes()).await.unwrap();
    let end = tokio::time::timeout(HOUR / 2, run.end(message)).await.unwrap();
    assert_eq!((end.state, bank.remote.effects_total()), (MessageState::Done, 1));
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_from_a_no_and_ends_the_wait() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&run).await;
    tokio::time::sleep(HOUR - Duration::from_secs(5)).await;
    assert_eq!(state(&run, message).await, MessageState::Waiting);
    tokio::time::sleep(Duration::from_secs(10)).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["APPROVAL_REQUIRED: nobody answered in time"]);
    assert_eq!((bank.remote.calls_total(), bank.state(&id).await), (0, ApprovalState::Expired));
    assert!(bank.approvals().open(None, MANY).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_asked_and_strangers_decide_nothing() {
    let bank = Bank::new(asks(&json!({ "roles": ["buyer"], "quorum": 2, "reason": "money" })));
    let run = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&run).await;
    let stranger = Principal::authenticated(
        TenantId::new("globex").unwrap(),
        Subject::new("carol").unwrap(),
        "test",
    );
    let buyer = || Vote::yes().role("buyer");
    for (by, vote, kind) in [
        (person("ann"), buyer(), ErrorKind::PermissionDenied),
        (person("payer"), buyer(), ErrorKind::PermissionDenied),
        (person("carol"), Vote::yes(), ErrorKind::PermissionDenied),
        (person("carol"), Vote::no().role("seller"), ErrorKind::PermissionDenied),
        (stranger, buyer(), ErrorKind::NotFound),
    ] {
        let e = run.decide_approval(&by, &id, vote).await.unwrap_err();
        assert_eq!(e.kind(), kind, "{by:?}");
    }
    for (name, state) in [
        ("carol", ApprovalState::Requested),
        ("carol", ApprovalState::Requested),
        ("dave", ApprovalState::Granted),
    ] {
        assert_eq!(run.decide_approval(&person(name), &id, buyer()).await.unwrap(), state);
    }
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.remote.effects_total(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_approval_outlives_the_process_that_asked() {
    let bank = Bank::new(one());
    let first = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&first).await;
    first.kill().await;
    let second = bank.start(payer(seven)).await;
    assert_eq!(second.recovered().waiting, 1);
    second.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    second.ends(message, MessageState::Done).await;
    assert_eq!((bank.texts(), bank.remote.effects_total()), (vec!["paid".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_resumes_what_was_decided_while_nobody_ran() {
    for (vote, text, effects) in
        [(Vote::yes(), "paid", 1), (Vote::no(), "PERMISSION_DENIED: carol said no", 0)]
    {
        let bank = Bank::new(one());
        let first = bank.start(payer(seven)).await;
        let (message, id) = bank.waits(&first).await;
        first.kill().await;
        bank.approvals().decide(&person("carol"), &id, vote).await.unwrap();
        let second = bank.start(payer(seven)).await;
        second.ends(message, MessageState::Done).await;
        assert_eq!((bank.texts(), bank.remote.effects_total()), (vec![text.to_owned()], effects));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_ends_a_wait_whose_time_is_over() {
    let bank = Bank::new(one());
    let first = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&first).await;
    first.kill().await;
    tokio::time::sleep(2 * HOUR).await;
    let second = bank.start(payer(seven)).await;
    second.ends(message, MessageState::Done).await;
    assert_eq!((bank.remote.calls_total(), bank.state(&id).await), (0, ApprovalState::Expired));
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_commit_leaves_one_payment_under_one_approval() {
    for label in ["request", "turn", "vote", "claim", "dispatch", "settle"] {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let mut bank = Bank::new(one());
            // Of a payment that can't be repeated a person would have to speak.
            bank.effect = Effect::Keyed { retention: HOUR };
            bank.remote = CountingRemote::new(RemoteKind::Keyed);
            let first = bank.start(payer(seven)).await;
            first.plan.nth(label, 1, fault);
            bank.world.say("c1", "m1", "pay");
            let carol = person("carol");
            let early = ["request", "turn"].contains(&label);
            if early {
                first.dies().await;
            } else {
                let message = bank.world.tell("c1", "m1", "pay").await;
                let id = bank.asked(&first, message).await;
                let told = first.decide_approval(&carol, &id, Vote::yes());
                drop(tokio::time::timeout(Duration::from_millis(50), told).await);
                first.dies().await;
            }
            let second = bank.start(payer(seven)).await;
            let message = bank.world.tell("c1", "m1", "pay").await;
            if early || (label == "vote" && fault == Fault::CrashBefore) {
                let id = bank.asked(&second, message).await;
                second.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
            }
            second.ends(message, MessageState::Done).await;
            let seen = (bank.texts(), bank.remote.effects_total());
            assert_eq!(seen, (vec!["paid".to_owned()], 1), "{label} {fault:?}");
            let open = bank.approvals().open(None, MANY).await.unwrap().0;
            assert!(open.is_empty(), "asked twice: {label} {fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_done_effect_never_asks_again() {
    let bank = Bank::new(one());
    let plan = Plan::default();
    // The attempt that pays is lost behind the payment.
    plan.nth("handle", 2, Fault::LoseAnswer);
    let run = bank.start(FaultAgent::new(payer(seven), plan)).await;
    let (message, id) = bank.waits(&run).await;
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!((bank.texts(), bank.remote.calls_total()), (vec!["paid".to_owned()], 1));
    let trail = run.audit(&tenant()).entries().await.unwrap();
    let asked = trail.iter().filter(|e| e.action == AuditAction::ApprovalRequested);
    assert_eq!(asked.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_yes_is_good_for_the_arguments_that_were_shown() {
    let bank = Bank::new(one());
    // Run again, the agent asks for ten times as much.
    let greedy =
        |turn: &Turn| json!({ "amount": if turn.resolution().is_some() { 70 } else { 7 } });
    let run = bank.start(payer(greedy)).await;
    let (message, id) = bank.waits(&run).await;
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let other = bank.asked(&run, message).await;
    assert_ne!(other, id);
    assert_eq!((bank.remote.calls_total(), bank.state(&id).await), (0, ApprovalState::Granted));
    run.decide_approval(&person("carol"), &other, Vote::no()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.remote.calls_total(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_approval_of_another_turn_is_refused_although_it_says_the_same() {
    let bank = Bank::new(one());
    let thief = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        let pay = SkillRequest::new(SkillId::new("pay").unwrap(), "pay", seven(&turn));
        let text = turn.text().into_owned();
        let named = if text == "pay" { pay } else { pay.approved(text) };
        match turn.call(named).await {
            Err(e) if e.message().contains("another request") => Ok(Answer::text("caught")),
            paid => said(paid),
        }
    });
    let run = bank.start(thief).await;
    let (message, id) = bank.waits(&run).await;
    run.plan.delay("claim", Duration::from_secs(1));
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    let stolen = bank.world.tell("c2", "m2", &id).await;
    run.ends(stolen, MessageState::Done).await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(
        (bank.texts(), bank.remote.effects_total()),
        (vec!["caught".to_owned(), "paid".to_owned()], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_flag_in_the_arguments_approves_nothing() {
    let bank = Bank::new(one());
    let flags = |_: &Turn| json!({ "approved": true, "requires_approval": false, "approval": "a" });
    let run = bank.start(payer(flags)).await;
    let (message, _) = bank.waits(&run).await;
    assert_eq!((state(&run, message).await, bank.remote.calls_total()), (MessageState::Waiting, 0));
}

#[tokio::test(start_paused = true)]
async fn a_wish_for_approval_makes_rules_stricter_and_never_weaker() {
    let wishes = || {
        agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
            let pay = SkillRequest::new(SkillId::new("pay").unwrap(), "pay", seven(&turn));
            said(turn.call(pay.needs_approval()).await)
        })
    };
    let allows = Rules::from_json(r#"{ "default": "allow", "rules": [] }"#).unwrap();
    let bank = Bank::new(allows);
    let run = bank.start(wishes()).await;
    let (message, id) = bank.waits(&run).await;
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["paid"]);
    let two = Bank::new(asks(&json!({ "quorum": 2, "reason": "money" })));
    let run = two.start(wishes()).await;
    let (_, id) = two.waits(&run).await;
    let one = run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    assert_eq!(one, ApprovalState::Requested, "the wish did not lower the quorum");
}

#[tokio::test(start_paused = true)]
async fn a_rule_refuses_and_the_trail_says_so() {
    let rules = r#"{ "rules": [{ "name": "no", "then": { "deny": { "code": "FROZEN", "reason": "the books are closed" } } }] }"#;
    let bank = Bank::new(Rules::from_json(rules).unwrap());
    let run = bank.start(payer(seven)).await;
    let message = bank.world.tell("c1", "m1", "pay").await;
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["PERMISSION_DENIED: the books are closed"]);
    assert_eq!(bank.remote.calls_total(), 0);
    let trail = run.audit(&tenant()).entries().await.unwrap();
    let denied = trail.iter().find(|e| e.action == AuditAction::CallDenied).unwrap();
    assert_eq!((&*denied.note, &*denied.subject), ("FROZEN", "pay/pay"));
}

#[tokio::test(start_paused = true)]
async fn what_is_done_answers_from_its_record_under_stricter_rules() {
    let allows = Rules::from_json(r#"{ "default": "allow", "rules": [] }"#).unwrap();
    let denies = Rules::from_json(r#"{ "rules": [] }"#).unwrap();
    for rules in [denies, one()] {
        let mut bank = Bank::new(allows.clone());
        let first = bank.start(payer(seven)).await;
        first.plan.nth("turn", 1, Fault::CrashBefore);
        bank.world.say("c1", "m1", "pay");
        first.dies().await;
        bank.rules = rules;
        let second = bank.start(payer(seven)).await;
        let message = bank.world.tell("c1", "m1", "pay").await;
        second.ends(message, MessageState::Done).await;
        assert_eq!((bank.texts(), bank.remote.calls_total()), (vec!["paid".to_owned()], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_claimed_and_not_sent_obeys_stricter_rules() {
    let allows = Rules::from_json(r#"{ "default": "allow", "rules": [] }"#).unwrap();
    let denies = Rules::from_json(r#"{ "rules": [] }"#).unwrap();
    for (rules, end) in [(denies, MessageState::Done), (one(), MessageState::Parked)] {
        let mut bank = Bank::new(allows.clone());
        let first = bank.start(payer(seven)).await;
        first.plan.nth("claim", 1, Fault::CrashAfter);
        bank.world.say("c1", "m1", "pay");
        first.dies().await;
        bank.rules = rules;
        let second = bank.start(payer(seven)).await;
        let message = bank.world.tell("c1", "m1", "pay").await;
        second.ends(message, end).await;
        let (_, record) = second.ledger(&tenant()).of_turn(message).await.unwrap().remove(0);
        assert!(matches!(record.state, EffectState::Claimed { .. }), "{record:?}");
        assert_eq!(bank.remote.calls_total(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_wait_by_itself() {
    let bank = Bank::new(one());
    let polite = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        match turn.skill("pay", "pay", seven(&turn)).await {
            Err(e) if e.kind() == ErrorKind::ApprovalRequired => {
                turn.set_session(json!("asked"));
                let id = e.context().find(|(name, _)| *name == "approval").unwrap().1;
                Ok(Answer::Suspended(Waiting::Approval { approval: id.into() }))
            }
            paid => said(paid.map_err(|e| e.exhausted())),
        }
    });
    let run = bank.start(polite).await;
    let (message, id) = bank.waits(&run).await;
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!((bank.texts(), bank.remote.effects_total()), (vec!["paid".to_owned()], 1));
}

#[tokio::test(start_paused = true)]
async fn a_read_that_needs_a_yes_is_claimed_with_it() {
    let mut bank = Bank::new(one());
    bank.effect = Effect::Pure;
    let run = bank.start(payer(seven)).await;
    let (message, id) = bank.waits(&run).await;
    assert_eq!(bank.remote.calls_total(), 0);
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(
        (bank.texts(), bank.state(&id).await),
        (vec!["paid".to_owned()], ApprovalState::Consumed)
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiting_turn_frees_its_conversation() {
    let bank = Bank::new(one());
    let agent = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        match &*turn.text() {
            "pay" => said(turn.skill("pay", "pay", seven(&turn)).await),
            text => Ok(Answer::text(text)),
        }
    });
    let run = bank.start(agent).await;
    let (message, id) = bank.waits(&run).await;
    run.ends(bank.world.tell("c1", "m2", "hello").await, MessageState::Done).await;
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["hello", "paid"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_open_is_listed_by_pages_and_by_tenant() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    for n in 0..5 {
        let place = format!("c{n}");
        let message = bank.world.tell(&place, &place, "pay").await;
        bank.asked(&run, message).await;
    }
    let two = NonZeroUsize::new(2).unwrap();
    let (mut after, mut turns, mut pages) = (None, Vec::new(), 0);
    loop {
        let (page, next) = run.approvals(&tenant()).open(after.as_deref(), two).await.unwrap();
        turns.extend(page.iter().map(|(_, approval)| approval.asked.as_ref().unwrap().turn));
        (after, pages) = (next, pages + 1);
        if after.is_none() {
            break;
        }
    }
    assert!(turns.is_sorted() && turns.len() == 5 && pages == 3, "{turns:?} {pages}");
    let globex = TenantId::new("globex").unwrap();
    assert!(run.approvals(&globex).open(None, two).await.unwrap().0.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_reply_that_waits_for_its_place_is_not_sent_when_its_approval_would_have_ended() {
    let bank = Bank::new(one());
    let agent = agent_fn(AgentId::new("payer").unwrap(), |mut turn| async move {
        match &*turn.text() {
            "hello" => Ok(Answer::text("hello")),
            _ => said(turn.skill("pay", "pay", json!(7)).await),
        }
    });
    let run = bank.start(agent).await;
    bank.world.platform.script([Sending::Limit(3 * HOUR)]);
    let first = bank.world.tell("c1", "m0", "hello").await;
    let (second, approval) = bank.waits(&run).await;
    run.decide_approval(&person("bob"), &approval, Vote::yes()).await.unwrap();
    tokio::time::sleep(2 * HOUR).await;
    assert_eq!(bank.remote.effects_total(), 1);
    assert!(bank.texts().is_empty(), "the first reply is not due, and nothing overtakes it");
    tokio::time::sleep(2 * HOUR).await;
    run.ends(first, MessageState::Done).await;
    run.ends(second, MessageState::Done).await;
    assert_eq!(bank.texts(), ["hello", "paid"]);
}

#[tokio::test(start_paused = true)]
async fn a_word_that_meets_a_turn_on_its_way_to_the_store_is_heard() {
    let bank = Bank::new(one());
    let run = bank.start(payer(seven)).await;
    // The turn that waits is stored behind the word's look at it, and before the word itself.
    run.plan.delay("turn", Duration::from_millis(20));
    run.plan.delay("vote", Duration::from_millis(50));
    let message = bank.world.tell("c1", "m1", "pay").await;
    let id = loop {
        let open = bank.approvals().open(None, MANY).await.unwrap().0;
        match open.into_iter().next() {
            Some((id, _)) => break id,
            None => tokio::task::yield_now().await,
        }
    };
    assert_ne!(state(&run, message).await, MessageState::Waiting, "it waits already");
    let since = tokio::time::Instant::now();
    run.decide_approval(&person("carol"), &id, Vote::yes()).await.unwrap();
    run.ends(message, MessageState::Done).await;
    assert_eq!(bank.texts(), ["paid"]);
    assert!(since.elapsed() < HOUR / 60, "heard after {:?}", since.elapsed());
}
