//! Each way a service can fail, for each class of effect, over real sockets: what the agent
//! sees, how often the service was called, and what the ledger says.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderValue;
use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
use openclaw_core::{
    AgentId, ChannelId, Content, Context, Conversation, Effect, Env, Envelope, Error, ErrorKind,
    Happened, Result, Secret, Sender, SkillId, TenantId,
    agent::{Agent, Answer, agent_fn},
    channel::{Capabilities, Intent, Reconcile, Reconciled},
    gateway::{Gateway, GatewayConfig, MessageState},
    middleware::stack::{Resilience, ResilienceConfig},
    records::Ledger,
    skill::{Skill, SkillManifest},
    store::MemoryStore,
};
use openclaw_skills::{
    SkillCx,
    api::{Api, Authorize, Credential, Template},
    schemars, skill_fn,
};
use openclaw_testkit::{
    fault::Power,
    platform::{Platform, Verdict},
    proxy::{Cut, Direction, FaultProxy},
    stub::{Fault, Malformed, Reply, StubServer, any, ok, status},
    trace::Trace,
};
use serde_json::json;

const KEYED: Effect = Effect::Keyed { retention: Duration::from_secs(86_400) };

#[derive(Clone, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Order {
    order: String,
}

#[derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
struct Placed {
    id: String,
}

/// What the service does with the first request; all others go well.
fn faults() -> Vec<(&'static str, Reply)> {
    let well = || ok(json!({ "id": "p-1" }));
    vec![
        ("429", status(429).retry_after_ms(20).json(json!({ "code": "slow_down" }))),
        ("500", status(500)),
        ("502", status(502).text("bad gateway")),
        ("503", status(503).retry_after_ms(20)),
        ("timeout", Fault::Hang.into()),
        ("reset", well().fault(Fault::LoseAnswer)),
        ("broken off", well().fault(Fault::Truncate { bytes: 4 })),
        ("not HTTP", Fault::Malformed(Malformed::StatusLine).into()),
        ("401", status(401)),
        ("403", status(403)),
        ("404", status(404)),
        ("422", status(422).json(json!({ "code": "sold_out", "message": "secret-text" }))),
        ("malformed", status(200).header("content-type", "application/json").body("{\"id\":\"p")),
        ("another type", status(200).text("secret-text")),
        ("drift", ok(json!({ "id": 1 }))),
    ]
}

/// What came of one message whose skill met one fault.
#[derive(Debug, PartialEq, Eq)]
struct End {
    /// The errors that the agent saw, attempt by attempt.
    seen: Vec<String>,
    calls: usize,
    /// Effects at the service, which honours no keys.
    effects: usize,
    ledger: Option<&'static str>,
    message: MessageState,
}

fn end(
    seen: &[&str],
    calls: usize,
    effects: usize,
    ledger: &'static str,
    message: MessageState,
) -> End {
    let seen = seen.iter().copied().map(str::to_owned).collect();
    End { seen, calls, effects, ledger: (!ledger.is_empty()).then_some(ledger), message }
}

/// It went well behind the agent's back.
fn well(calls: usize, effects: usize) -> End {
    end(&[], calls, effects, "done", MessageState::Done)
}

/// It surely failed, and the agent says sorry.
fn sorry(code: &str) -> End {
    end(&[&format!("{code} No")], 1, 0, "failed", MessageState::Done)
}

/// Nobody knows, and a person has to look.
fn parked(effects: usize) -> End {
    end(&["CONFLICT Maybe"], 1, effects, "parked", MessageState::Parked)
}

/// A token that is refused once.
#[derive(Debug)]
struct Tokens;

#[async_trait]
impl Authorize for Tokens {
    async fn authorize(
        &self,
        _: &Context,
        request: &mut http::Request<Bytes>,
        refused: Option<Credential>,
    ) -> Result<Credential> {
        let token = if refused.is_some() { "Bearer new" } else { "Bearer old" };
        request.headers_mut().insert("authorization", HeaderValue::from_static(token));
        Ok(Credential::of(&Secret::new(token)))
    }
}

/// The service's own books, asked afterwards.
#[derive(Debug)]
struct Books(Arc<StubServer>);

#[async_trait]
impl Reconcile for Books {
    async fn reconcile(&self, _: &Intent) -> Result<Reconciled> {
        let happened = self.0.received().iter().any(|request| request.had_effect());
        let answer = Arc::new(json!({ "id": "p-1" }));
        Ok(if happened { Reconciled::Happened(answer) } else { Reconciled::DidNotHappen })
    }
}

/// The client that everything goes through.
fn client() -> GuardedHttp {
    let client = GuardedHttp::builder().policy(EgressPolicy::loopback());
    client.timeout(Duration::from_secs(1)).build().unwrap()
}

fn api(url: &str, effect: Effect) -> Api {
    let config = r#"{ "http": { "default": { "retry": { "attempts": 3, "base": "1ms" } } } }"#;
    let resilience = Resilience::new(ResilienceConfig::from_json(config).unwrap()).unwrap();
    let mut api = Api::builder("shop", url).unwrap().authorize(Tokens).resilience(resilience);
    if let Effect::Keyed { retention } = effect {
        api = api.keyed(retention);
    }
    api.build(client()).unwrap()
}

/// A skill of this class over the tool-kit: one request.
fn skill(stub: &Arc<StubServer>, url: &str, effect: Effect) -> Arc<dyn Skill> {
    let api = api(url, effect);
    let template = match effect {
        Effect::Pure => Template::get("/orders/{order}"),
        Effect::AtLeastOnce => Template::put("/orders/{order}"),
        Effect::Keyed { .. } | Effect::Reconcilable | Effect::AtMostOnce => {
            Template::post("/orders/{order}")
        }
    };
    let template = template.unwrap();
    let manifest = SkillManifest::new(SkillId::new("place").unwrap(), "1.0.0").effect(effect);
    let skill = skill_fn(manifest, move |cx: SkillCx, order: Order| {
        let (api, template) = (api.clone(), template.clone());
        async move { api.exchange(&cx).read::<Placed>(template.fill(&order)?).await }
    });
    Arc::new(skill.unwrap().reconcile_with(Books(Arc::clone(stub))))
}

/// An agent that gives up on what surely failed, and lets the gateway try the rest again.
fn clerk(seen: Arc<Mutex<Vec<String>>>) -> impl Agent {
    agent_fn(AgentId::new("clerk").unwrap(), move |mut turn| {
        let seen = Arc::clone(&seen);
        async move {
            let Err(e) = turn.skill("place", "place", json!({ "order": "7" })).await else {
                return Ok(Answer::text("placed"));
            };
            assert!(!format!("{e} {e:?} {}", e.public()).contains("secret"), "{e:?}");
            seen.lock().unwrap().push(format!("{} {:?}", e.kind(), e.happened()));
            let known = e.happened() != Happened::Maybe && !e.kind().is_transient();
            if known { Ok(Answer::text("sorry")) } else { Err(e) }
        }
    })
}

/// Has one message handled by a gateway whose skill meets what stands at this address.
async fn run(stub: &Arc<StubServer>, url: &str, effect: Effect) -> End {
    let (env, desk) = (Env::system(), ChannelId::new("desk").unwrap());
    let tenant = TenantId::new("acme").unwrap();
    let (rows, seen) = (MemoryStore::new(env.clock()), Arc::<Mutex<Vec<String>>>::default());
    let platform = Platform::new(desk.clone(), Trace::default());
    let mut config = GatewayConfig::default();
    (config.turn_attempts, config.turn_pause) = (2, Duration::from_millis(1));
    let gateway = Gateway::builder(env, rows.clone())
        .channel(platform.channel(Capabilities::default(), Power::on()))
        .agent(clerk(Arc::clone(&seen)))
        .skill(skill(stub, url, effect))
        .config(config)
        .start()
        .await
        .unwrap();
    let chat = Conversation::new(desk, "c1");
    let said = Envelope::new(tenant.clone(), chat, Sender::new("ann"), Content::text("order 7"));
    let verdict = platform.verdict(platform.deliver(said, None)).await;
    let Verdict::Accepted { message, .. } = verdict else { panic!("{verdict:?}") };
    let message = gateway.settled(&tenant, message).await.unwrap().state;
    let effects = Ledger::new(Arc::new(rows), tenant).all().await.unwrap();
    assert!(effects.len() <= 1, "{effects:?}");
    let received = stub.received();
    let seen = seen.lock().unwrap().clone();
    End {
        seen,
        calls: received.len(),
        effects: received.iter().filter(|request| request.had_effect()).count(),
        ledger: effects.first().map(|(_, _, record)| record.state.name()),
        message,
    }
}

/// Has every fault met by a skill of this class.
async fn check(effect: Effect, expected: impl Fn(&str) -> End) {
    for (name, fault) in faults() {
        let stub = Arc::new(StubServer::start().await.unwrap());
        stub.on(any()).reply_seq([fault, ok(json!({ "id": "p-1" }))]);
        let end = run(&stub, stub.url(), effect).await;
        assert_eq!(end, expected(name), "{effect:?}, {name}");
        if effect == KEYED {
            let report = stub.idempotency_report();
            let key = report.keys().next().unwrap().to_owned();
            assert_eq!(report.requests(&key), end.calls as u64, "{name}: one key at every try");
            assert_eq!((report.bodies(&key), report.without_key()), (1, 0), "{name}");
        }
    }
}

#[tokio::test]
async fn what_only_reads_is_tried_again_whatever_became_of_it() {
    let read = |seen: &[&str], calls| end(seen, calls, 0, "", MessageState::Done);
    check(Effect::Pure, |name| match name {
        "403" => read(&["PERMISSION_DENIED No"], 1),
        "404" => read(&["NOT_FOUND No"], 1),
        "422" | "drift" => read(&["VALIDATION_ERROR No"], 1),
        "malformed" | "another type" => read(&["SERVER_ERROR No"], 2),
        _ => read(&[], 2),
    })
    .await;
}

#[tokio::test]
async fn a_keyed_write_in_doubt_is_sent_again_with_its_key() {
    check(KEYED, |name| match name {
        "reset" | "broken off" => well(2, 2),
        "403" => sorry("PERMISSION_DENIED"),
        "404" => sorry("NOT_FOUND"),
        "422" => sorry("VALIDATION_ERROR"),
        "malformed" | "another type" => {
            end(&["SERVER_ERROR Maybe"], 2, 2, "done", MessageState::Done)
        }
        "drift" => end(&["VALIDATION_ERROR Yes"], 1, 1, "failed", MessageState::Done),
        _ => well(2, 1),
    })
    .await;
}

#[tokio::test]
async fn a_reconcilable_write_in_doubt_is_asked_about() {
    let asked = |seen: &str, calls| end(&[seen], calls, 1, "done", MessageState::Done);
    check(Effect::Reconcilable, |name| match name {
        "429" | "401" => well(2, 1),
        "500" => asked("SERVER_ERROR Maybe", 2),
        "502" | "503" | "not HTTP" => asked("UNAVAILABLE Maybe", 2),
        "timeout" => asked("TIMEOUT Maybe", 2),
        "reset" | "broken off" => asked("UNAVAILABLE Maybe", 1),
        "malformed" | "another type" => asked("SERVER_ERROR Maybe", 1),
        "403" => sorry("PERMISSION_DENIED"),
        "404" => sorry("NOT_FOUND"),
        "422" => sorry("VALIDATION_ERROR"),
        "drift" => end(&["VALIDATION_ERROR Yes"], 1, 1, "failed", MessageState::Done),
        other => panic!("{other}"),
    })
    .await;
}

#[tokio::test]
async fn an_at_least_once_write_in_doubt_is_sent_again() {
    check(Effect::AtLeastOnce, |name| match name {
        "reset" | "broken off" => well(2, 2),
        "403" => sorry("PERMISSION_DENIED"),
        "404" => sorry("NOT_FOUND"),
        "422" => sorry("VALIDATION_ERROR"),
        "malformed" | "another type" => {
            end(&["SERVER_ERROR Maybe"], 2, 2, "done", MessageState::Done)
        }
        "drift" => end(&["VALIDATION_ERROR Yes"], 1, 1, "failed", MessageState::Done),
        _ => well(2, 1),
    })
    .await;
}

#[tokio::test]
async fn an_at_most_once_write_in_doubt_is_parked_and_never_repeated() {
    check(Effect::AtMostOnce, |name| match name {
        "429" | "401" => well(2, 1),
        "500" | "502" | "503" | "timeout" | "not HTTP" => parked(0),
        "reset" | "broken off" | "malformed" | "another type" => parked(1),
        "403" => sorry("PERMISSION_DENIED"),
        "404" => sorry("NOT_FOUND"),
        "422" => sorry("VALIDATION_ERROR"),
        "drift" => end(&["VALIDATION_ERROR Yes"], 1, 1, "failed", MessageState::Done),
        other => panic!("{other}"),
    })
    .await;
}

/// What came of a service that never does better.
async fn stays(effect: Effect, fault: Reply) -> End {
    let stub = Arc::new(StubServer::start().await.unwrap());
    stub.on(any()).reply(fault);
    run(&stub, stub.url(), effect).await
}

const EFFECTS: [Effect; 5] =
    [Effect::Pure, KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce];

#[tokio::test]
async fn a_service_that_stays_busy_is_asked_three_times_and_nothing_happened() {
    for effect in EFFECTS {
        let ledger = if effect == Effect::Pure { "" } else { "claimed" };
        let busy = stays(effect, status(429).retry_after_ms(1)).await;
        assert_eq!(busy, end(&["RATE_LIMITED No"], 3, 0, ledger, MessageState::Dead), "{effect:?}");
    }
}

#[tokio::test]
async fn a_service_that_never_accepts_us_is_asked_twice() {
    for effect in EFFECTS {
        let ledger = if effect == Effect::Pure { "" } else { "failed" };
        let refused = stays(effect, status(401)).await;
        let seen = &["AUTHENTICATION_FAILED No"];
        assert_eq!(refused, end(seen, 2, 0, ledger, MessageState::Done), "{effect:?}");
    }
}

#[tokio::test]
async fn a_service_that_stays_down_leaves_what_nobody_knows_in_sight() {
    for (effect, expected) in EFFECTS.into_iter().zip([
        end(&["UNAVAILABLE No"], 3, 0, "", MessageState::Dead),
        end(&["UNAVAILABLE Maybe"], 3, 0, "unknown", MessageState::Parked),
        end(&["UNAVAILABLE Maybe", "UNAVAILABLE Maybe"], 2, 0, "unknown", MessageState::Parked),
        end(&["UNAVAILABLE Maybe"], 3, 0, "unknown", MessageState::Parked),
        parked(0),
    ]) {
        assert_eq!(stays(effect, status(503)).await, expected, "{effect:?}");
    }
}

/// Every way the wire between both can break: an effect that may happen once happens once at
/// most, and what the agent is told is never better than what is true.
#[tokio::test]
async fn a_wire_that_breaks_anywhere_never_doubles_an_effect() {
    for cut in [Cut::Reset, Cut::Finish] {
        for (direction, bytes) in [
            (Direction::ToServer, 0),
            (Direction::ToServer, 40),
            (Direction::ToClient, 0),
            (Direction::ToClient, 9),
            (Direction::ToClient, 60),
        ] {
            let stub = Arc::new(StubServer::start().await.unwrap());
            stub.on(any()).reply(ok(json!({ "id": "p-1" })));
            let proxy = FaultProxy::to(stub.addr()).await.unwrap();
            proxy.next().only(direction).cut_after(bytes, cut);
            let url = format!("http://{}", proxy.addr());
            let end = run(&stub, &url, Effect::AtMostOnce).await;
            let place = format!("{cut:?} behind {bytes} bytes {direction:?}: {end:?}");
            assert!(end.effects <= 1, "{place}");
            assert_eq!(end.message, MessageState::Parked, "{place}");
            assert_eq!(end.seen, ["CONFLICT Maybe"], "{place}");
        }
    }
}

#[tokio::test]
async fn a_service_that_nobody_reaches_was_not_called() {
    // A port that was free a moment ago, and that nobody listens on.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let stub = Arc::new(StubServer::start().await.unwrap());
    for effect in [KEYED, Effect::Reconcilable, Effect::AtLeastOnce, Effect::AtMostOnce] {
        let met = run(&stub, &url, effect).await;
        let unsent = end(&["UNAVAILABLE No"], 0, 0, "claimed", MessageState::Dead);
        assert_eq!(met, unsent, "{effect:?}");
    }
}

/// The error itself, beside what the ledger makes of it.
#[tokio::test]
async fn an_error_says_what_a_model_can_act_on() {
    let stub = StubServer::start().await.unwrap();
    stub.on(any()).reply(faults().remove(11).1);
    let cx = super::cx(super::context());
    let e: Error = api(stub.url(), Effect::AtMostOnce)
        .exchange(&cx)
        .send(super::post("/orders"))
        .await
        .unwrap_err();
    assert_eq!(e.kind(), ErrorKind::ValidationError);
    let pairs: Vec<_> = e.context().collect();
    assert_eq!(pairs, [("status", "422"), ("code", "sold_out"), ("system", "shop")]);
    assert_eq!(e.public(), "the service does not accept this request");
}
